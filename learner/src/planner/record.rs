//! A decision as it is written down: everything that it was made from, so that whoever has the same price book makes it again, bit
//! for bit, on any machine.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use vaultaire_proto::prices::Book;

use crate::error::Error;
use crate::hazards::{Forecast, Hazards, SPANS};
use crate::history::DAYS_MAX;
use crate::planner::{Plan, Seat, Situation, plan};

/// In half days.
const TIMES: RangeInclusive<i64> = 0..=2 * DAYS_MAX as i64;

/// One decision of a policy that plans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Seconds since 1970.
    pub timestamp: u64,
    pub bucket: String,
    pub key: String,
    pub size: u64,
    /// The price book that it was priced by.
    pub book: String,
    /// Where it could be, in the order of the costs.
    pub tiers: Vec<String>,
    /// Where it was. None: it was new.
    pub from: Option<Place>,
    pub to: String,
    /// Chances of each span, in 1/65535: of the next read, of the end, and of both after that read.
    pub read: [u16; SPANS],
    pub end: [u16; SPANS],
    pub read_after: [u16; SPANS],
    pub end_after: [u16; SPANS],
    /// On a day on which it is read: requests, and times its size, in 1/256.
    pub requests_q8: u32,
    pub sent_q8: u32,
    /// What each tier costs until a year after, in exact units of which so many bits were dropped.
    pub costs: Vec<i64>,
    /// What staying for ever costs.
    pub stays: Option<i64>,
    pub dropped_bits: u32,
}

/// Where an object was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    pub tier: String,
    /// In half days.
    pub stay_left: i64,
    pub idle: i64,
}

/// What is decided about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub timestamp: u64,
    pub bucket: &'a str,
    pub key: &'a str,
}

impl Record {
    /// Of a plan that was made.
    pub fn new(subject: Subject<'_>, book: &Book, situation: &Situation<'_>, plan: &Plan) -> Self {
        let name = |tier: usize| book.tiers[tier].name.clone();
        let Forecast { read, end, read_after, end_after, requests_q8, sent_q8 } =
            *situation.forecast;
        Self {
            timestamp: subject.timestamp,
            bucket: subject.bucket.to_owned(),
            key: subject.key.to_owned(),
            size: situation.size_bytes,
            book: book.name.clone(),
            tiers: situation.allowed.iter().map(|tier| name(*tier)).collect(),
            from: situation.seat.map(|seat| Place {
                tier: name(seat.tier),
                stay_left: seat.stay_left,
                idle: seat.idle,
            }),
            to: name(plan.tier),
            read: read.0,
            end: end.0,
            read_after: read_after.0,
            end_after: end_after.0,
            requests_q8,
            sent_q8,
            costs: plan.costs.clone(),
            stays: plan.stays,
            dropped_bits: plan.dropped_bits,
        }
    }

    /// Makes the decision again. None: it is another one, or costs another amount.
    pub fn made_again(&self, book: &Book) -> Result<Option<Plan>, Error> {
        if self.book != book.name {
            return Err(Error::OtherBook { found: book.name.clone(), wanted: self.book.clone() });
        }
        let tier = |name: &str| {
            book.tier(name)
                .ok_or_else(|| Error::NoSuchTier { book: book.name.clone(), tier: name.to_owned() })
        };
        let allowed: Vec<usize> =
            self.tiers.iter().map(|name| tier(name)).collect::<Result<_, _>>()?;
        let seat = match &self.from {
            None => None,
            // No time is longer than a log.
            Some(place)
                if [place.stay_left, place.idle].iter().any(|time| !TIMES.contains(time)) =>
            {
                return Ok(None);
            }
            Some(place) => {
                let tier = tier(&place.tier)?;
                Some(Seat { tier, stay_left: place.stay_left, idle: place.idle })
            }
        };
        let forecast = Forecast {
            read: Hazards(self.read),
            end: Hazards(self.end),
            read_after: Hazards(self.read_after),
            end_after: Hazards(self.end_after),
            requests_q8: self.requests_q8,
            sent_q8: self.sent_q8,
        };
        let cards = book.cards(self.size);
        let plan = plan(&Situation {
            cards: &cards,
            allowed: &allowed,
            size_bytes: self.size,
            seat,
            forecast: &forecast,
        });
        let is_same = plan.costs == self.costs
            && plan.stays == self.stays
            && plan.dropped_bits == self.dropped_bits
            && book.tiers[plan.tier].name == self.to;
        Ok(is_same.then_some(plan))
    }
}
