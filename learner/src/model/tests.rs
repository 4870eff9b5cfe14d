//! What networks learn, from what, and that they do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;

use candle_core::Tensor;
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use vaultaire_proto::prices::calendar::DAY_S;

use crate::error::Error;
use crate::hazards::SPANS;
use crate::model::Model;
use crate::model::features::{self, COUNT};
use crate::model::network::{Network, WEIGHTS};
use crate::model::samples::{Came, OUTPUTS, Sample};
use crate::model::train::{Example, fitted, loss, train};
use crate::model::weights;

/// Random enough, and the same each time.
fn numbers(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed;
    move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// What the first input says comes true: read within a day, or only after 20 days.
fn samples(count: u64) -> Vec<Sample> {
    let mut next = numbers(7);
    let each = (0..count).map(|lot| {
        let mut features = [0.0; COUNT];
        features.iter_mut().for_each(|feature| *feature = next());
        let soon = features[0] > 0.0;
        let at_s = 100 * DAY_S;
        let next_s = at_s + if soon { DAY_S / 2 } else { 20 * DAY_S };
        let came = Came { next_s: Some(next_s), later_s: Some(next_s + 5 * DAY_S), end_s: None };
        Sample {
            lot,
            object_lot: lot,
            at_s,
            size_bytes: 1,
            alike: lot,
            season: lot,
            features,
            came,
        }
    });
    each.collect()
}

fn examples(samples: &[Sample]) -> Vec<Example<'_>> {
    let known_s = 200 * DAY_S;
    let each = samples.iter().map(|sample| Example {
        sample,
        labels: sample.came.labels(sample.at_s, known_s),
        weight: 1.0,
    });
    each.collect()
}

#[test]
fn features_have_different_names() {
    let names = features::names();
    assert_eq!(names.len(), COUNT);
    assert_eq!(names.iter().collect::<HashSet<_>>().len(), COUNT);
}

/// Some of candle's layers let no gradient through, and say nothing.
#[test]
fn every_variable_moves_in_the_first_steps() {
    let samples = samples(256);
    let examples = examples(&samples);
    let network = Network::new(&[0.0; COUNT], &[1.0; COUNT], numbers(3)).unwrap();
    let before: Vec<Tensor> =
        network.weights.iter().map(|weight| weight.as_tensor().copy().unwrap()).collect();
    let mut optimizer = AdamW::new(
        network.weights.clone(),
        ParamsAdamW { weight_decay: 0.0, ..ParamsAdamW::default() },
    )
    .unwrap();
    let batch: Vec<&Example<'_>> = examples.iter().collect();
    for _ in 0..2 {
        optimizer.backward_step(&loss(&network, &batch).unwrap()).unwrap();
    }
    for ((weight, before), (name, _)) in network.weights.iter().zip(&before).zip(WEIGHTS) {
        let moved = (weight.as_tensor() - before).unwrap().abs().unwrap();
        let moved = moved.sum_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(moved > 0.0, "{name} did not move");
    }
}

#[test]
fn it_learns_what_there_is_to_learn() {
    let samples = samples(4_000);
    let network = train(&examples(&samples), 5).unwrap();
    let seen: Vec<f32> = samples.iter().flat_map(|sample| sample.features).collect();
    let voices = network.voices(&seen).unwrap();
    let mean = |soon: bool, output: usize| {
        let of = |chances: &Vec<f32>| {
            let of = samples.iter().zip(chances.chunks(OUTPUTS));
            let of = of.filter(|(sample, _)| (sample.features[0] > 0.0) == soon);
            let of: Vec<f32> = of.map(|(_, chances)| chances[output]).collect();
            of.iter().sum::<f32>() / of.len() as f32
        };
        voices.iter().map(of).sum::<f32>() / voices.len() as f32
    };
    assert!(mean(true, 0) > 0.85, "{}", mean(true, 0));
    assert!(mean(false, 0) < 0.15, "{}", mean(false, 0));
    // (14, 30] days.
    assert!(mean(false, 4) > 0.85, "{}", mean(false, 4));
    // Five days after a read, whatever it saw: (3, 7].
    assert!(mean(true, 2 * SPANS + 2) > 0.85 && mean(false, 2 * SPANS + 2) > 0.85);
}

#[test]
fn the_same_seed_learns_the_same() {
    let samples = samples(1_000);
    let learnt = |seed| weights::to_bytes(&train(&examples(&samples), seed).unwrap()).unwrap();
    let first = learnt(1);
    assert_eq!(weights::hash(&first), weights::hash(&learnt(1)));
    assert_ne!(weights::hash(&first), weights::hash(&learnt(2)));
}

#[test]
fn weights_are_read_as_they_were_written_and_those_of_others_are_refused() {
    let samples = samples(1_000);
    let network = train(&examples(&samples), 1).unwrap();
    let bytes = weights::to_bytes(&network).unwrap();
    let read = weights::from_bytes(&bytes).unwrap();
    assert_eq!(weights::to_bytes(&read).unwrap(), bytes);
    let seen: Vec<f32> = samples.iter().flat_map(|sample| sample.features).collect();
    assert_eq!(read.voices(&seen).unwrap(), network.voices(&seen).unwrap());
    let schema = weights::schema();
    let text = bytes.windows(schema.len()).position(|window| window == schema.as_bytes()).unwrap();
    let mut other = bytes.clone();
    other[text] = if other[text] == b'0' { b'1' } else { b'0' };
    assert!(matches!(weights::from_bytes(&other), Err(Error::WeightsSchema { .. })));
    for cut in [0, 7, 100, bytes.len() - 1] {
        assert!(weights::from_bytes(&bytes[..cut]).is_err());
    }
    let mut not_a_number = bytes.clone();
    let last = bytes.len() - 4;
    not_a_number[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(matches!(weights::from_bytes(&not_a_number), Err(Error::Weights { .. })));
}

/// What had not happened yet when it was looked at says nothing, whatever it became.
#[test]
fn labels_say_what_was_known() {
    let day = |day: u64| day * DAY_S;
    let came = Came { next_s: Some(day(105)), later_s: Some(day(107)), end_s: Some(day(140)) };
    let at = |known: u64| came.labels(day(100), day(known));
    let of = |values: &[f32; OUTPUTS], head: usize| values[head * SPANS..][..SPANS].to_vec();
    // Nothing was known of the time until the read; from (3, 7] on it is that one span that counts.
    let early = at(104);
    assert_eq!(of(&early.is_known, 0), [1., 1., 0., 0., 0., 0., 0., 0., 0.]);
    // The read is known, but its span is not over.
    assert_eq!(of(&at(106).is_known, 0), [1., 1., 0., 0., 0., 0., 0., 0., 0.]);
    let late = at(300);
    assert_eq!(of(&late.is_known, 0), [1., 1., 1., 0., 0., 0., 0., 0., 0.]);
    assert_eq!(of(&late.happened, 0), [0., 0., 1., 0., 0., 0., 0., 0., 0.]);
    // It did not end before it was read.
    assert_eq!(of(&late.is_known, 1), [1., 1., 0., 0., 0., 0., 0., 0., 0.]);
    // From the midnight after: a read at once, on its first day.
    assert_eq!(of(&late.happened, 2), [1., 0., 0., 0., 0., 0., 0., 0., 0.]);
    let ended = Came { next_s: None, later_s: None, end_s: Some(day(110)) };
    let labels = ended.labels(day(100), day(300));
    assert_eq!(of(&labels.is_known, 0), [1., 1., 1., 1., 0., 0., 0., 0., 0.]);
    assert_eq!(of(&labels.happened, 0), [0.; SPANS]);
    assert_eq!(of(&labels.happened, 1), [0., 0., 0., 1., 0., 0., 0., 0., 0.]);
}

/// What a network thought impossible happens to three of ten: whole steps swing ever wider here.
#[test]
fn what_is_far_off_is_calibrated_too() {
    let rows: Vec<(f64, f64, f64)> =
        (0..10_000).map(|row| (-8.0, f64::from(u8::from(row % 10 < 3)), 1.0)).collect();
    let (slope, offset) = fitted(&rows);
    let chance = 1.0 / (1.0 + (8.0 * slope - offset).exp());
    assert!((chance - 0.3).abs() < 0.01, "{slope} {offset} {chance}");
    assert!(slope.abs() < 2.0 && offset.abs() < 1.0, "{slope} {offset}");
}
