//! Money over time, day by day.

use vaultaire_proto::prices::calendar::{DAY_S, Date};

use crate::report::{Bill, Report};

/// No line has more points: nobody would see them.
const POINTS_MAX: usize = 400;

/// What was paid until the end of each day, in nano-dollars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series(Vec<i128>);

impl Series {
    pub fn of(report: &Report, bill: &Bill) -> Self {
        let (first, end) = (report.charge_from / DAY_S, report.until.div_ceil(DAY_S));
        let mut sum = 0;
        let until = (first..end.max(first + 1)).map(|day| {
            sum += bill.by_day.get(&Date::of_day(day).to_string()).copied().unwrap_or_default();
            sum
        });
        Self(until.collect())
    }

    /// This one without another.
    pub fn less(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(own, theirs)| own - theirs).collect())
    }

    /// As a saving: after how many days it is never below nothing again. None: it is, at the end.
    pub fn pays_back_after(&self) -> Option<usize> {
        let last_loss = self.0.iter().rposition(|saved| *saved < 0);
        last_loss.map_or(Some(0), |day| (day + 1 < self.0.len()).then_some(day + 1))
    }

    /// Days and dollars, as they are drawn.
    pub fn points(&self) -> Vec<(f64, f64)> {
        let step = self.0.len().div_ceil(POINTS_MAX).max(1);
        let last = self.0.len() - 1;
        let drawn = (0..=last).filter(|day| day % step == 0 || *day == last);
        let at = |day: usize| ((day + 1) as f64, self.0[day] as f64 / 1e9);
        [(0.0, 0.0)].into_iter().chain(drawn.map(at)).collect()
    }
}
