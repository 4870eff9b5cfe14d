//! When an object is read next, and when it ends, as chances: of each span of days from now on, how likely it happens there if
//! it has not happened before (a discrete hazard). In 16 bits each, so that whoever plans with them gets the same plan on
//! every machine: a network's floating point ends here.

/// Spans of days from now on.
pub const SPANS: usize = 9;

/// Where the spans begin and end: (0,1], (1,3] and so on.
pub const BOUNDS_DAYS: [u32; SPANS + 1] = [0, 1, 3, 7, 14, 30, 60, 90, 180, 365];

/// What is certain.
pub const CERTAIN: u16 = u16::MAX;

/// The chance of each span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hazards(pub [u16; SPANS]);

/// What is expected of one object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forecast {
    /// Of the next read, from now on.
    pub read: Hazards,
    /// Of its end where it was not read before.
    pub end: Hazards,
    /// The same from its next read on.
    pub read_after: Hazards,
    pub end_after: Hazards,
    /// Requests on a day on which it is read, in 1/256.
    pub requests_q8: u32,
    /// Times its size that are sent on such a day, in 1/256.
    pub sent_q8: u32,
}

/// A chance that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAChance;

impl Hazards {
    /// Of chances in floating point.
    pub fn quantised(chances: &[f32; SPANS]) -> Result<Self, NotAChance> {
        let mut hazards = Self::default();
        for (quantised, chance) in hazards.0.iter_mut().zip(chances) {
            // What is not a number is in no range.
            if !(0.0..=1.0).contains(chance) {
                return Err(NotAChance);
            }
            *quantised = (chance * f32::from(CERTAIN)).round() as u16;
        }
        Ok(hazards)
    }

    /// Of one that happens so many days from now for sure; what happens after the last span, does not. None: never.
    pub fn certain(after_days: Option<f64>) -> Self {
        let mut hazards = Self::default();
        let bound = |days: f64| BOUNDS_DAYS[1..].iter().position(|bound| days <= f64::from(*bound));
        if let Some(span) = after_days.and_then(bound) {
            hazards.0[span] = CERTAIN;
        }
        hazards
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_chance_is_refused() {
        let with = |chance: f32| Hazards::quantised(&[0.5, chance, 0., 0., 0., 0., 0., 0., 1.]);
        for bad in [f32::NAN, f32::INFINITY, -0.1, 1.1] {
            assert_eq!(with(bad), Err(NotAChance));
        }
        assert_eq!(with(0.25).map(|hazards| hazards.0[..2].to_vec()), Ok(vec![32_768, 16_384]));
    }

    #[test]
    fn spans_end_at_their_bound() {
        let span = |days| Hazards::certain(Some(days)).0.iter().position(|chance| *chance > 0);
        assert_eq!(
            [0.1, 1.0, 1.1, 365.0, 366.0].map(span),
            [Some(0), Some(0), Some(1), Some(8), None]
        );
        assert_eq!(Hazards::certain(None), Hazards::default());
    }
}
