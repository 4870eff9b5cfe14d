//! Price books as files: TOML, every price a decimal number of dollars in quotes, as the providers print it.

use serde::Deserialize;

use crate::money::NanoUsd;
use crate::prices::calendar::{Date, Month};
use crate::prices::{Book, Gigabyte, Native, NativeStep, Requests, Restore, Tier};

/// The version of the file's form.
const FORMAT: u32 = 1;

/// Dearer is a slip of the pen: so much a gigabyte is no storage that anybody sells. It also bounds what is summed.
const PRICE_MAX: NanoUsd = NanoUsd(1_000_000_000_000);

/// Tiers of one book at most.
const TIERS_MAX: usize = 64;

/// What is wrong with a book, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    #[error("it is no price book: {0}")]
    Form(String),
    #[error("{place} is {found:?}; {wanted}")]
    Value { place: String, found: String, wanted: &'static str },
    #[error("{place}: {why}")]
    Sense { place: String, why: &'static str },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    name: String,
    provider: String,
    region: String,
    date: String,
    sources: Vec<String>,
    gigabyte: GigabyteName,
    month: MonthName,
    hot: String,
    tier: Vec<TierFile>,
    #[serde(default)]
    egress: Vec<EgressFile>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum GigabyteName {
    Binary,
    Decimal,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum MonthName {
    Calendar,
    ThirtyDays,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TierFile {
    name: String,
    storage_gb_month: String,
    put_1000: String,
    copy_1000: Option<String>,
    part_1000: Option<String>,
    list_1000: Option<String>,
    get_1000: String,
    retrieval_gb: String,
    transition_1000: String,
    stay_days_min: u32,
    billed_bytes_min: u64,
    #[serde(default)]
    overhead_bytes: u64,
    #[serde(default)]
    overhead_hot_bytes: u64,
    native: Option<NativeFile>,
    restore: Option<RestoreFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NativeFile {
    monitoring_1000_month: String,
    bytes_min: u64,
    steps: Vec<StepFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepFile {
    idle_days: u32,
    storage_gb_month: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RestoreFile {
    request_1000: String,
    retrieval_gb: String,
    hours: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EgressFile {
    to: String,
    gb: String,
}

impl Book {
    /// Reads a book and checks that it makes sense.
    pub fn parse(text: &str) -> Result<Self, BookError> {
        let file: File =
            toml::from_str(text).map_err(|error| BookError::Form(error.to_string()))?;
        if file.format != FORMAT {
            return Err(value("format", &file.format.to_string(), "this version reads 1"));
        }
        let date = Date::parse(&file.date)
            .ok_or_else(|| value("date", &file.date, "a day is written 2026-11-29"))?;
        let tiers = file.tier.iter().map(tier).collect::<Result<Vec<_>, _>>()?;
        let of_hot = tiers.iter().position(|tier| tier.name == file.hot);
        let hot = of_hot.ok_or_else(|| value("hot", &file.hot, "it names one of the tiers"))?;
        let egress = file.egress.iter().map(|way| {
            let place = format!("egress {}", way.to);
            Ok((way.to.clone(), price(&place, "gb", &way.gb)?))
        });
        let book = Self {
            name: file.name,
            provider: file.provider,
            region: file.region,
            date,
            sources: file.sources,
            gigabyte: match file.gigabyte {
                GigabyteName::Binary => Gigabyte::Binary,
                GigabyteName::Decimal => Gigabyte::Decimal,
            },
            month: match file.month {
                MonthName::Calendar => Month::Calendar,
                MonthName::ThirtyDays => Month::ThirtyDays,
            },
            hot,
            egress: egress.collect::<Result<Vec<_>, BookError>>()?,
            tiers,
        };
        book.checked()
    }

    fn checked(self) -> Result<Self, BookError> {
        let sense = |place: &str, why| Err(BookError::Sense { place: place.to_owned(), why });
        if self.tiers.len() > TIERS_MAX {
            return sense("tier", "there are more than 64 of them");
        }
        if self.sources.is_empty() {
            return sense("sources", "a price without a source is worth nothing");
        }
        for (place, tier) in self.tiers.iter().enumerate() {
            let name = &tier.name;
            if self.tiers.iter().take(place).any(|former| former.name == *name) {
                return sense(name, "two tiers have this name");
            }
            if tier.native.is_some() && tier.stay_days_min > 0 {
                return sense(name, "a tier with native steps has no minimum stay");
            }
            let mut former = (0, tier.storage);
            for step in tier.native.iter().flat_map(|native| &native.steps) {
                if step.idle_days <= former.0 || step.storage > former.1 {
                    return sense(
                        name,
                        "each native step comes later than the former and is cheaper",
                    );
                }
                former = (step.idle_days, step.storage);
            }
        }
        let hot = self.hot_tier();
        if hot.restore.is_some() || hot.stay_days_min > 0 || hot.native.is_some() {
            return sense(
                &hot.name,
                "the hot tier is readable at once, may be left, and has no steps",
            );
        }
        Ok(self)
    }
}

fn tier(file: &TierFile) -> Result<Tier, BookError> {
    let name = file.name.as_str();
    let each = |field, text: &str| per_request(name, field, text);
    let or_put =
        |field, text: &Option<String>| each(field, text.as_ref().unwrap_or(&file.put_1000));
    let native = file.native.as_ref().map(|native| {
        let steps = native.steps.iter().map(|step| {
            let storage = price(name, "native.steps.storage_gb_month", &step.storage_gb_month)?;
            Ok(NativeStep { idle_days: step.idle_days, storage })
        });
        Ok(Native {
            monitoring: each("native.monitoring_1000_month", &native.monitoring_1000_month)?,
            bytes_min: native.bytes_min,
            steps: steps.collect::<Result<_, BookError>>()?,
        })
    });
    let restore = file.restore.as_ref().map(|restore| {
        Ok(Restore {
            request: each("restore.request_1000", &restore.request_1000)?,
            retrieval: price(name, "restore.retrieval_gb", &restore.retrieval_gb)?,
            hours: restore.hours,
        })
    });
    Ok(Tier {
        name: file.name.clone(),
        storage: price(name, "storage_gb_month", &file.storage_gb_month)?,
        requests: Requests {
            put: each("put_1000", &file.put_1000)?,
            copy: or_put("copy_1000", &file.copy_1000)?,
            part: or_put("part_1000", &file.part_1000)?,
            list: or_put("list_1000", &file.list_1000)?,
            get: each("get_1000", &file.get_1000)?,
        },
        retrieval: price(name, "retrieval_gb", &file.retrieval_gb)?,
        transition: each("transition_1000", &file.transition_1000)?,
        stay_days_min: file.stay_days_min,
        billed_bytes_min: file.billed_bytes_min,
        overhead_bytes: file.overhead_bytes,
        overhead_hot_bytes: file.overhead_hot_bytes,
        native: native.transpose()?,
        restore: restore.transpose()?,
    })
}

fn value(place: &str, found: &str, wanted: &'static str) -> BookError {
    BookError::Value { place: place.to_owned(), found: found.to_owned(), wanted }
}

fn price(tier: &str, field: &str, text: &str) -> Result<NanoUsd, BookError> {
    let place = format!("{tier}: {field}");
    let wanted = "a price is dollars, such as \"0.0125\": not negative, nine places at most";
    let price = NanoUsd::from_dollars(text).ok_or_else(|| value(&place, text, wanted))?;
    match price > PRICE_MAX {
        true => Err(value(&place, text, "that is more than anybody asks: 1000 dollars at most")),
        false => Ok(price),
    }
}

/// From a price per thousand.
fn per_request(tier: &str, field: &str, text: &str) -> Result<NanoUsd, BookError> {
    let of_1000 = price(tier, field, text)?;
    match of_1000.0 % 1000 {
        0 => Ok(NanoUsd(of_1000.0 / 1000)),
        _ => {
            let place = format!("{tier}: {field}");
            Err(value(&place, text, "one request has to cost a whole number of nano-dollars"))
        }
    }
}
