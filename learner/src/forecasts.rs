//! Who foretells what will be read when. Forecasts do not depend on where an object is: each decision about a life has one,
//! whatever policy asks.

use crate::error::Error;
use crate::hazards::Forecast;
use crate::history::{Life, Window};
use crate::planner::profiles;
use crate::points::{self, Point};

/// An object of a log.
#[derive(Debug)]
pub struct Object {
    pub number: u32,
    /// All of its versions in the log.
    pub lives: Vec<Life>,
    /// Those that lie in the window.
    pub subjects: Vec<Subject>,
}

/// One version, and when somebody will decide about it.
#[derive(Debug)]
pub struct Subject {
    /// Which of its object's lives it is.
    pub place: usize,
    /// Others are found by it.
    pub is_index: bool,
    /// As far as it lies in the window.
    pub life: Life,
    pub points: Vec<Point>,
}

/// When a forecast is wanted: after so many reads of a whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    pub at_s: u64,
    pub reads: usize,
}

impl Object {
    pub fn new((number, key): (u32, &str), lives: Vec<Life>, window: Window) -> Self {
        let is_index = profiles::is_index(key);
        let within = lives.iter().enumerate().filter_map(|(place, life)| {
            let life = life.within(window)?;
            Some(Subject { place, is_index, points: points::of(&life), life })
        });
        Self { number, subjects: within.collect(), lives }
    }
}

impl Subject {
    /// Its creation if it is new, and its points.
    pub fn moments(&self, whole: &Life) -> Vec<Moment> {
        let before = whole.reads.len() - self.life.reads.len();
        let created = self.life.is_new.then_some(Moment { at_s: self.life.from_s, reads: 0 });
        let points = self.points.iter();
        let points = points.map(|point| Moment { at_s: point.at_s, reads: before + point.reads });
        created.into_iter().chain(points).collect()
    }
}

/// Foretells.
pub trait Forecaster: Sync {
    /// For each subject of each object, at each of its moments. None: nothing is known yet.
    fn forecasts(&self, objects: &[Object]) -> Result<Vec<Vec<Option<Forecast>>>, Error>;
}
