//! What a book's file says, field by field: TOML, every price a decimal number of dollars in quotes, as the providers print it.
//! Unknown fields are errors: a price that is mistyped must not become one that is missing.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Table;

use crate::money::NanoUsd;
use crate::prices::calendar::{Date, Month};
use crate::prices::free::{Allowance, Each, Of};
use crate::prices::read::BookError;
use crate::prices::{Book, Gigabyte, Native, NativeStep, Requests, Restore, Speed, Tier};

/// The version of the file's form.
const FORMAT: u32 = 1;

/// Dearer is a slip of the pen: so much a gigabyte is no storage that anybody sells. It also bounds what is summed.
const PRICE_MAX: NanoUsd = NanoUsd(1_000_000_000_000);

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
    /// Each is read on its own, so that a problem can be told with its name.
    tier: Vec<Table>,
    #[serde(default)]
    egress: Vec<EgressFile>,
    #[serde(default)]
    free: Vec<FreeFile>,
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
    /// The speed that is used. Without it: the one whose prices stand here.
    #[serde(rename = "use")]
    used: Option<String>,
    #[serde(default = "standard")]
    name: String,
    request_1000: String,
    retrieval_gb: String,
    hours: u32,
    #[serde(default)]
    other: Vec<SpeedFile>,
}

fn standard() -> String {
    "standard".to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpeedFile {
    name: String,
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FreeFile {
    what: What,
    gb: Option<u64>,
    times_stored: Option<u64>,
    requests: Option<u64>,
    each: Option<EachName>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum What {
    Storage,
    Egress,
    Put,
    Get,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum EachName {
    Day,
    Month,
}

/// A book from its whole table. Whether it makes sense is looked at elsewhere.
pub fn book(table: Table) -> Result<Book, BookError> {
    let file: File = form(table).map_err(BookError::Form)?;
    if file.format != FORMAT {
        return Err(value("format", &file.format.to_string(), "this version reads 1"));
    }
    let date = Date::parse(&file.date)
        .ok_or_else(|| value("date", &file.date, "a day is written 2026-11-29"))?;
    let tiers = file.tier.into_iter().enumerate().map(|(place, table)| {
        let name = table.get("name").and_then(|name| name.as_str()).map(str::to_owned);
        let place = name.unwrap_or_else(|| format!("tier {}", place + 1));
        let read = form(table).map_err(|problem| BookError::Tier { place, problem })?;
        tier(&read)
    });
    let tiers = tiers.collect::<Result<Vec<_>, _>>()?;
    let of_hot = tiers.iter().position(|tier| tier.name == file.hot);
    let hot = of_hot.ok_or_else(|| BookError::Unknown {
        place: "hot".to_owned(),
        found: file.hot.clone(),
        wanted: "it names one of the tiers",
        known: tiers.iter().map(|tier| tier.name.as_str()).collect::<Vec<_>>().join(", "),
    })?;
    let egress = file.egress.iter().map(|way| {
        let place = format!("egress {}", way.to);
        Ok((way.to.clone(), price(&place, "gb", &way.gb)?))
    });
    Ok(Book {
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
        free: file.free.iter().map(allowance).collect::<Result<_, _>>()?,
        tiers,
    })
}

fn form<T: DeserializeOwned>(table: Table) -> Result<T, String> {
    table.try_into().map_err(|error: toml::de::Error| error.message().trim().to_owned())
}

fn tier(file: &TierFile) -> Result<Tier, BookError> {
    let name = file.name.as_str();
    let each = |field, text: &str| per_request(name, field, text);
    let or_put =
        |field, text: &Option<String>| each(field, text.as_ref().unwrap_or(&file.put_1000));
    let speeds = file.restore.as_ref().map(|restore| speeds(name, restore)).transpose()?;
    let speeds = speeds.unwrap_or_default();
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
        native: file.native.as_ref().map(|file| native(name, file)).transpose()?,
        restore: speeds.first().map(|speed| speed.restore),
        speeds,
    })
}

fn native(tier: &str, file: &NativeFile) -> Result<Native, BookError> {
    let steps = file.steps.iter().map(|step| {
        let storage = price(tier, "native.steps.storage_gb_month", &step.storage_gb_month)?;
        Ok(NativeStep { idle_days: step.idle_days, storage })
    });
    let field = "native.monitoring_1000_month";
    Ok(Native {
        monitoring: per_request(tier, field, &file.monitoring_1000_month)?,
        bytes_min: file.bytes_min,
        steps: steps.collect::<Result<_, BookError>>()?,
    })
}

/// All speeds, the one that is used first.
fn speeds(tier: &str, file: &RestoreFile) -> Result<Vec<Speed>, BookError> {
    let speed = |name: &str, request: &str, retrieval: &str, hours| {
        let request = per_request(tier, &format!("restore.request_1000 ({name})"), request)?;
        let retrieval = price(tier, &format!("restore.retrieval_gb ({name})"), retrieval)?;
        Ok(Speed { name: name.to_owned(), restore: Restore { request, retrieval, hours } })
    };
    let own = speed(&file.name, &file.request_1000, &file.retrieval_gb, file.hours);
    let others = file
        .other
        .iter()
        .map(|other| speed(&other.name, &other.request_1000, &other.retrieval_gb, other.hours));
    let mut all = [own].into_iter().chain(others).collect::<Result<Vec<_>, BookError>>()?;
    let wanted = file.used.as_ref().unwrap_or(&file.name);
    let used = all.iter().position(|speed| speed.name == *wanted);
    let used = used.ok_or_else(|| BookError::Unknown {
        place: format!("{tier}: restore.use"),
        found: wanted.clone(),
        wanted: "it names one of the speeds",
        known: all.iter().map(|speed| speed.name.as_str()).collect::<Vec<_>>().join(", "),
    })?;
    all[..=used].rotate_right(1);
    Ok(all)
}

fn allowance(file: &FreeFile) -> Result<Allowance, BookError> {
    let of = match (file.what, file.gb, file.times_stored, file.requests) {
        (What::Storage, Some(gigabytes), None, None) => Of::Storage { gigabytes },
        (What::Egress, Some(gigabytes), None, None) => Of::Egress { gigabytes },
        (What::Egress, None, Some(times), None) => Of::EgressTimesStored { times },
        (What::Put, None, None, Some(requests)) => Of::Puts { requests },
        (What::Get, None, None, Some(requests)) => Of::Gets { requests },
        (What::Storage | What::Egress | What::Put | What::Get, _, _, _) => {
            return Err(BookError::Sense {
                place: format!("free {:?}", file.what).to_lowercase(),
                why: "storage has `gb`, egress `gb` or `times_stored`, put and get have `requests`",
            });
        }
    };
    let each = match file.each {
        Some(EachName::Day) => Each::Day,
        Some(EachName::Month) | None => Each::Month,
    };
    Ok(Allowance { of, each })
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
