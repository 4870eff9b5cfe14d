//! What several voices say, as one: the chance of a whole course of things is the mean of what each of them gives it (a mixture, as deep
//! ensembles are; Lakshminarayanan et al., "Simple and scalable predictive uncertainty estimation using deep ensembles", 2017).
//!
//! **Why not the mean of logits.** A plan takes the cheapest of what is foretold, and so it takes what was foretold too low. Where
//! networks that learnt from different parts disagree, nobody knows, and the mean of chances is nearer to the largest: a
//! read that one of three takes for likely is not taken for impossible. **Why courses, and not spans.** Who said that a read comes soon
//! and was wrong knows less of what follows: a voice counts in each span by the chance that it gave to nothing having happened yet.

use crate::hazards::SPANS;
use crate::model::features::{CHANCES_AT, COUNT};
use crate::model::samples::{HEADS, OUTPUTS};

/// Which chances of a group each head begins from.
pub const CHANCES_OF_HEADS: [usize; HEADS] = [0, 1, 2, 1];

/// What a group did so far counts as so much of a network: of a group of few objects none has seen enough to know better. (Chosen on
/// generated logs, seeds 101 to 105; on 301 to 305 it is neither better nor worse in the mean.)
const GROUP_WEIGHT: f64 = 0.5;

/// Of reads; that of the end is the one that follows.
const READ_HEADS: [usize; 2] = [0, 2];

/// The chance of every output for each row of what was seen, from the same of each voice and what each group did.
pub fn mixed(voices: &[Vec<f32>], seen: &[f32]) -> Vec<f32> {
    let rows = seen.chunks_exact(COUNT).enumerate();
    rows.flat_map(|(row, seen)| {
        let group = group(seen);
        let own = |voice: &'_ Vec<f32>| -> [f32; OUTPUTS] {
            std::array::from_fn(|output| voice[row * OUTPUTS + output])
        };
        let mut weighed: Vec<_> = voices.iter().map(|voice| (1.0, own(voice))).collect();
        weighed.push((GROUP_WEIGHT, group));
        one(&weighed)
    })
    .collect()
}

/// What an object's group says of it.
fn group(seen: &[f32]) -> [f32; OUTPUTS] {
    std::array::from_fn(|output| {
        let place = CHANCES_AT + CHANCES_OF_HEADS[output / SPANS] * SPANS + output % SPANS;
        1.0 / (1.0 + (-seen[place]).exp())
    })
}

/// Of voices by their weights. What is no number stays none.
fn one(voices: &[(f64, [f32; OUTPUTS])]) -> [f32; OUTPUTS] {
    let mut mixed = [0.0; OUTPUTS];
    for head in READ_HEADS {
        let mut weights: Vec<f64> = voices.iter().map(|(weight, _)| *weight).collect();
        for read in head * SPANS..(head + 1) * SPANS {
            let end = read + SPANS;
            let (mut all, mut reads, mut unread, mut ends) = (0.0, 0.0, 0.0, 0.0);
            for (weight, (_, chances)) in weights.iter_mut().zip(voices) {
                let (read, end) = (f64::from(chances[read]), f64::from(chances[end]));
                all += *weight;
                reads += *weight * read;
                *weight *= 1.0 - read;
                unread += *weight;
                ends += *weight * end;
                *weight *= 1.0 - end;
            }
            // What comes after something certain does not matter.
            let share = |part: f64, of: f64| if of == 0.0 { 0.0 } else { (part / of) as f32 };
            (mixed[read], mixed[end]) = (share(reads, all), share(ends, unread));
        }
    }
    mixed
}

#[cfg(test)]
mod tests {
    use proptest::array::uniform;
    use proptest::prelude::*;

    use super::*;

    fn seen(logit: f32) -> Vec<f32> {
        vec![logit; COUNT]
    }

    /// The chance that nothing happens until the end of a span, of a head.
    fn nothing(chances: &[f32], head: usize, span: usize) -> f64 {
        let spans = (0..=span).map(|span| head * SPANS + span);
        spans
            .map(|read| (1.0 - f64::from(chances[read])) * (1.0 - f64::from(chances[read + SPANS])))
            .product()
    }

    proptest! {
        #[test]
        fn a_course_has_the_mean_of_the_chances_it_was_given(
            first in uniform::<_, OUTPUTS>(0.0_f32..1.0),
            second in uniform::<_, OUTPUTS>(0.0_f32..1.0),
            logit in -4.0_f32..4.0,
        ) {
            let seen = seen(logit);
            let voices = [first.to_vec(), second.to_vec()];
            let mixed = mixed(&voices, &seen);
            let group = group(&seen);
            for head in READ_HEADS {
                for span in 0..SPANS {
                    let of = |chances: &[f32]| nothing(chances, head, span);
                    let wanted = (of(&first) + of(&second) + GROUP_WEIGHT * of(&group))
                        / (2.0 + GROUP_WEIGHT);
                    prop_assert!((of(&mixed) - wanted).abs() < 1e-5, "{} {wanted}", of(&mixed));
                }
            }
        }
    }

    #[test]
    fn a_read_that_one_takes_for_likely_is_not_impossible() {
        let (sure, unsure) = (vec![0.001; OUTPUTS], vec![0.5; OUTPUTS]);
        let mixed = mixed(&[sure.clone(), sure, unsure], &seen(-7.0));
        // Two sevenths of all voices say a half; the mean of logits would say a hundredth.
        assert!((mixed[0] - 0.1439).abs() < 1e-3, "{}", mixed[0]);
        // It was wrong in the first span, and so it counts half of that in the next, and less and less.
        assert!(mixed[1] < mixed[0] && mixed[SPANS - 1] < 0.01, "{mixed:?}");
    }

    #[test]
    fn what_is_certain_or_no_number_breaks_nothing() {
        let certain = mixed(&[vec![1.0; OUTPUTS], vec![0.0; OUTPUTS]], &seen(f32::INFINITY));
        assert!(certain.iter().all(|chance| (0.0..=1.0).contains(chance)), "{certain:?}");
        let mut wrong = vec![0.1; OUTPUTS];
        wrong[0] = f32::NAN;
        assert!(mixed(&[vec![0.1; OUTPUTS], wrong], &seen(0.0))[0].is_nan());
    }
}
