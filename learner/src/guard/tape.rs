//! What happens to the objects of a log, in the order of time: lives are found one object after the other, and a guard has to see
//! all objects of a bucket at once. So each life writes its events here, and they are taken out again window by window. What is
//! not looked at lies in a file without a name in the folder for temporary files, which is gone when nobody holds it.

use std::fs::File;
use std::io::{self, Read as _, Seek, SeekFrom, Write};

use crate::error::Error;
use crate::forecasts::Subject;
use crate::guard::window_of;
use crate::hazards::{Forecast, Hazards, SPANS};
use crate::history::{Life, Read, Window};
use crate::spill::{Record, take, unkept};

/// Something that happens to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub at_s: u64,
    pub object: u32,
    pub kind: Kind,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is written, or was there when charging began and is known from now on.
    Begin {
        life: Box<Start>,
        forecast: Option<Box<Forecast>>,
    },
    Read {
        bytes: u64,
        requests: u32,
    },
    /// Somebody decides where it should be.
    Point {
        idle_since_s: u64,
        forecast: Option<Box<Forecast>>,
    },
    End,
}

/// What is known of a life when it begins, and when it will end: that is for its bill alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    pub from_s: u64,
    pub size_bytes: u64,
    pub until_s: u64,
    pub idle_since_s: u64,
    pub is_new: bool,
    pub is_index: bool,
}

impl Start {
    /// A life of which nothing else is known.
    pub fn life(&self, object: u32) -> Life {
        Life {
            object,
            size_bytes: self.size_bytes,
            from_s: self.from_s,
            seen_s: self.from_s,
            is_new: self.is_new,
            idle_since_s: self.idle_since_s,
            until_s: self.until_s,
            reads: Vec::new(),
        }
    }
}

/// So much of each window is kept in memory until it is written.
const BUFFER_BYTES: usize = 64 << 10;

/// Events by windows.
#[derive(Debug)]
pub struct Tape {
    window: Window,
    file: File,
    written: u64,
    events: u64,
    windows: Vec<Part>,
}

/// The events of one window.
#[derive(Clone, Debug, Default)]
struct Part {
    buffer: Vec<u8>,
    /// What was written of it: where, and how long it is.
    pieces: Vec<(u64, usize)>,
}

impl Tape {
    pub fn new(window: Window) -> Result<Self, Error> {
        let file = tempfile::tempfile().map_err(unkept)?;
        let windows = vec![Part::default(); window_of(window, window.until_s) + 1];
        Ok(Self { window, file, written: 0, windows, events: 0 })
    }

    pub fn windows(&self) -> usize {
        self.windows.len()
    }

    /// How many there are.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Everything that happens in a life from when on it is known, with the forecasts of its moments. An object of which the log
    /// tells later was there before, but what others may do must not depend on what nobody could know.
    pub fn record(
        &mut self,
        subject: &Subject,
        forecasts: &[Option<Forecast>],
    ) -> Result<(), Error> {
        let Subject { life, points, is_index, .. } = subject;
        let mut forecasts = forecasts.iter().copied();
        let mut next_forecast = || forecasts.next().flatten().map(Box::new);
        let known_s = life.known_s();
        let start = Start {
            from_s: life.from_s,
            size_bytes: life.size_bytes,
            until_s: life.until_s,
            idle_since_s: life.idle_since_s,
            is_new: life.is_new,
            is_index: *is_index,
        };
        let forecast = if life.is_new { next_forecast() } else { None };
        let mut write = |at_s, kind| self.write(&Event { at_s, object: life.object, kind });
        write(known_s, Kind::Begin { life: Box::new(start), forecast })?;
        let mut points = points.iter().peekable();
        for (place, read) in life.reads.iter().map(Some).chain([None]).enumerate() {
            while let Some(point) = points.next_if(|point| point.reads == place) {
                let forecast = next_forecast();
                if point.at_s > known_s {
                    let idle_since_s = point.idle_since_s;
                    write(point.at_s, Kind::Point { idle_since_s, forecast })?;
                }
            }
            if let Some(Read { at_s, bytes, requests }) = read.copied() {
                write(at_s, Kind::Read { bytes, requests })?;
            }
        }
        write(life.until_s, Kind::End)
    }

    fn write(&mut self, event: &Event) -> Result<(), Error> {
        let part = &mut self.windows[window_of(self.window, event.at_s)];
        event.write(&mut part.buffer);
        self.events += 1;
        if part.buffer.len() >= BUFFER_BYTES {
            self.file.write_all(&part.buffer).map_err(unkept)?;
            part.pieces.push((self.written, part.buffer.len()));
            self.written += part.buffer.len() as u64;
            part.buffer.clear();
        }
        Ok(())
    }

    /// Takes the events of a window out, those of one object in their order.
    pub fn take(
        &mut self,
        window: usize,
        mut each: impl FnMut(Event) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Part { buffer, pieces } = std::mem::take(&mut self.windows[window]);
        let mut bytes = Vec::new();
        for (at, length) in pieces {
            bytes.resize(length, 0);
            self.file.seek(SeekFrom::Start(at)).map_err(unkept)?;
            self.file.read_exact(&mut bytes).map_err(unkept)?;
            events(&bytes, &mut each)?;
        }
        events(&buffer, &mut each)
    }
}

fn events(
    mut bytes: &[u8],
    each: &mut impl FnMut(Event) -> Result<(), Error>,
) -> Result<(), Error> {
    while !bytes.is_empty() {
        each(Event::read(&mut bytes).map_err(unkept)?)?;
    }
    Ok(())
}

// One byte that tells the kind, and what follows: a forecast; it is new; it is an index.
const BEGIN: u8 = 0;
const READ: u8 = 1;
const POINT: u8 = 2;
const END: u8 = 3;
const HAS_FORECAST: u8 = 4;
const IS_NEW: u8 = 8;
const IS_INDEX: u8 = 16;

impl Record for Event {
    /// Objects take turns in the order of their numbers, whichever thread has found them.
    type Key = (u64, u32);

    fn key(&self) -> Self::Key {
        (self.at_s, self.object)
    }

    fn write(&self, out: &mut Vec<u8>) {
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        let (tag, numbers, forecast) = match &self.kind {
            Kind::Begin { life, forecast } => {
                let tag = BEGIN | flag(life.is_new, IS_NEW) | flag(life.is_index, IS_INDEX);
                let numbers = vec![life.from_s, life.size_bytes, life.until_s, life.idle_since_s];
                (tag, numbers, forecast)
            }
            Kind::Read { bytes, requests } => (READ, vec![*bytes, u64::from(*requests)], &None),
            Kind::Point { idle_since_s, forecast } => (POINT, vec![*idle_since_s], forecast),
            Kind::End => (END, Vec::new(), &None),
        };
        out.push(tag | flag(forecast.is_some(), HAS_FORECAST));
        out.extend(self.at_s.to_le_bytes());
        out.extend(self.object.to_le_bytes());
        numbers.iter().for_each(|number| out.extend(number.to_le_bytes()));
        if let Some(forecast) = forecast {
            let Forecast { read, end, read_after, end_after, requests_q8, sent_q8 } = &**forecast;
            let chances = [read, end, read_after, end_after].into_iter().flat_map(|head| head.0);
            chances.for_each(|chance| out.extend(chance.to_le_bytes()));
            [requests_q8, sent_q8].into_iter().for_each(|number| out.extend(number.to_le_bytes()));
        }
    }

    fn read(bytes: &mut impl io::Read) -> io::Result<Self> {
        let [tag] = take(bytes)?;
        let at_s = u64::from_le_bytes(take(bytes)?);
        let object = u32::from_le_bytes(take(bytes)?);
        let mut number = || take(bytes).map(u64::from_le_bytes);
        let mut kind = match tag & END {
            BEGIN => {
                let life = Start {
                    from_s: number()?,
                    size_bytes: number()?,
                    until_s: number()?,
                    idle_since_s: number()?,
                    is_new: tag & IS_NEW != 0,
                    is_index: tag & IS_INDEX != 0,
                };
                Kind::Begin { life: Box::new(life), forecast: None }
            }
            READ => {
                let (bytes, requests) = (number()?, number()?);
                Kind::Read { bytes, requests: u32::try_from(requests).unwrap_or(u32::MAX) }
            }
            POINT => Kind::Point { idle_since_s: number()?, forecast: None },
            _ => Kind::End,
        };
        if tag & HAS_FORECAST != 0 {
            let told = Some(Box::new(forecast(bytes)?));
            match &mut kind {
                Kind::Begin { forecast, .. } | Kind::Point { forecast, .. } => *forecast = told,
                Kind::Read { .. } | Kind::End => {}
            }
        }
        Ok(Self { at_s, object, kind })
    }
}

fn forecast(bytes: &mut impl io::Read) -> io::Result<Forecast> {
    let mut head = || -> io::Result<Hazards> {
        let mut chances = [0; SPANS];
        for chance in &mut chances {
            *chance = u16::from_le_bytes(take(bytes)?);
        }
        Ok(Hazards(chances))
    };
    let [read, end, read_after, end_after] = [head()?, head()?, head()?, head()?];
    let mut number = || take(bytes).map(u32::from_le_bytes);
    let (requests_q8, sent_q8) = (number()?, number()?);
    Ok(Forecast { read, end, read_after, end_after, requests_q8, sent_q8 })
}
