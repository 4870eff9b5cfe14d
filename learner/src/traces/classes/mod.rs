//! The kinds of workload: one file each, with where its shape was seen.

pub mod backup;
pub mod datasets;
pub mod documents;
pub mod eos;
pub mod iot;
pub mod lake;
pub mod media;
pub mod service_logs;
pub mod web;

use std::fmt::{self, Write as _};

use crate::error::Error;
use crate::traces::CLASSES;
use crate::traces::calendar::Calendar;
use crate::traces::draft::Draft;
use crate::traces::random::Stream;

/// What one prefix of a class does. Its sizes and rates are drawn once, so that no two prefixes are alike.
pub trait Workload: fmt::Debug {
    /// Makes up a log with about so many objects.
    fn fill(&self, draft: &mut Draft, objects: u64, stream: &mut Stream);

    /// Writes the part of an object's key that follows its prefix.
    fn key(&self, name: u64, out: &mut String);
}

/// A kind of workload. Each has a bucket of its own name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    Media,
    Backup,
    Logs,
    Lake,
    MlDatasets,
    Web,
    Documents,
    Iot,
}

impl Class {
    /// All of them, in the order of their names.
    pub const ALL: [Self; CLASSES.len()] = [
        Self::Media,
        Self::Backup,
        Self::Logs,
        Self::Lake,
        Self::MlDatasets,
        Self::Web,
        Self::Documents,
        Self::Iot,
    ];

    pub fn named(name: &str) -> Result<Self, Error> {
        let mut known = Self::ALL.into_iter();
        known
            .find(|class| class.name() == name)
            .ok_or_else(|| Error::NoSuchClass { name: name.to_owned(), known: CLASSES.join(", ") })
    }

    pub fn name(self) -> &'static str {
        CLASSES[self as usize]
    }

    /// What its prefixes are called, before their numbers.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Media => "album",
            Self::Backup => "host",
            Self::Logs => "service",
            Self::Lake => "table",
            Self::MlDatasets => "set",
            Self::Web | Self::Iot => "site",
            Self::Documents => "team",
        }
    }

    /// A prefix, with everything about it drawn.
    pub fn draw(self, calendar: Calendar, stream: &mut Stream) -> Box<dyn Workload> {
        match self {
            Self::Media => Box::new(media::Media::draw(stream)),
            Self::Backup => Box::new(backup::Backup::draw(stream)),
            Self::Logs => Box::new(service_logs::ServiceLogs::draw(calendar, stream)),
            Self::Lake => Box::new(lake::Lake::draw(calendar, stream)),
            Self::MlDatasets => Box::new(datasets::Datasets::draw(stream)),
            Self::Web => Box::new(web::Web::draw(stream)),
            Self::Documents => Box::new(documents::Documents::draw(stream)),
            Self::Iot => Box::new(iot::Iot::draw(calendar, stream)),
        }
    }
}

/// Days before the log's start are names too.
const DAYS_BEFORE: i64 = 1 << 16;

/// The name of an object of a day, which has a number among those of that day.
fn dated(day: i64, number: u64) -> u64 {
    (((day + DAYS_BEFORE) as u64) << 32) | number
}

/// Writes the day of a name, like `2025-01-31`.
fn write_date(calendar: Calendar, day: u64, between: char, out: &mut String) {
    let date = calendar.date(day as i64 - DAYS_BEFORE);
    // Writing into a string does not fail.
    let _ = write!(out, "{:04}{between}{:02}{between}{:02}", date.year, date.month, date.day);
}

#[cfg(test)]
mod tests;
