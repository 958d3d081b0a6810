//! Periods: how long a budget or rate limit of a model config runs, and where each period begins and ends.
//!
//! A period is found from the anchor and the time alone, never from the period before, so that no late look and no
//! restart ever shifts one.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::money::decimal;

const SECOND_NS: u128 = 1_000_000_000;
const DAY_NS: u128 = 86_400 * SECOND_NS;
const DAY_MS: u64 = 86_400_000;
/// The longest duration, as in Go: 2^63 - 1 nanoseconds, 292 years.
const LENGTH_NS_MAX: u128 = i64::MAX.unsigned_abs() as u128;
/// Longest text of a duration, in bytes: it is kept as it was written, and repeated in answers.
const WRITTEN_LEN_MAX: usize = 64;
/// The first Monday: 1970-01-05T00:00:00Z. Aligned days and weeks are counted from it.
const MONDAY_MS: u64 = 4 * DAY_MS;

/// How long a period is, as it was written.
///
/// A Go duration (`30s`, `1h30m`), a number with `d`, `w`, `M` or `Y`, or `daily`, `weekly`, `monthly`, `yearly`. Case
/// matters but for the words: `1m` is a minute, `1M` a month. At least a millisecond and at most 292 years, in a text of at
/// most 64 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ResetDuration {
    written: Arc<str>,
    length_ms: u64,
    calendar: Option<Calendar>,
}

/// The part of the calendar that a whole number of days, weeks, months or years counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Calendar {
    Days(u64),
    Months(u32),
}

/// The text is not a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotADuration;

/// Where the periods of a limit begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cycle {
    /// At the anchor and at every whole number of lengths from it, in milliseconds since 1970 UTC.
    Lattice {
        /// Where one of them begins.
        anchor_ms: u64,
        /// How long each is; at least 1.
        length_ms: u64,
    },
    /// At midnight UTC on the first of every so many months, counted from January 1970; at least 1.
    Months(u32),
}

/// One period: from its first millisecond to the first of the next, since 1970 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// When it began.
    pub start_ms: u64,
    /// When the next one begins.
    pub end_ms: u64,
}

impl ResetDuration {
    /// The text it was written as.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The same text, to keep.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.written)
    }

    /// Its length in milliseconds; a month counts 30 days, a year 365. Two lines of one config may not have the same.
    #[must_use]
    pub fn length_ms(&self) -> u64 {
        self.length_ms
    }

    /// Periods that follow one another from `created_ms` on.
    #[must_use]
    pub fn lattice(&self, created_ms: u64) -> Cycle {
        Cycle::Lattice { anchor_ms: created_ms, length_ms: self.length_ms }
    }

    /// Periods of the calendar: whole days, weeks, months and years. All else has none there and runs on the lattice.
    #[must_use]
    pub fn calendar(&self, created_ms: u64) -> Cycle {
        match self.calendar {
            Some(Calendar::Days(days)) => {
                Cycle::Lattice { anchor_ms: MONDAY_MS, length_ms: days.saturating_mul(DAY_MS) }
            }
            Some(Calendar::Months(months)) => Cycle::Months(months),
            None => self.lattice(created_ms),
        }
    }
}

impl FromStr for ResetDuration {
    type Err = NotADuration;

    fn from_str(text: &str) -> Result<Self, NotADuration> {
        if text.len() > WRITTEN_LEN_MAX {
            return Err(NotADuration);
        }
        let plain = match text.to_ascii_lowercase().as_str() {
            "daily" => "1d",
            "weekly" => "1w",
            "monthly" => "1M",
            "yearly" => "1Y",
            _ => text,
        };
        let unit = plain.chars().next_back().filter(|unit| "dwMY".contains(*unit));
        let (length_ns, calendar) = match unit {
            Some(unit) => {
                let number = &plain[..plain.len() - 1];
                (counted_ns(number, days(unit))?, calendar(number, unit))
            }
            None => (go_ns(plain)?, None),
        };
        let length_ms = u64::try_from(length_ns / 1_000_000).ok().filter(|ms| *ms > 0);
        let length_ms = length_ms.filter(|_| length_ns <= LENGTH_NS_MAX).ok_or(NotADuration)?;
        Ok(Self { written: text.into(), length_ms, calendar })
    }
}

/// Days of a unit where it is not aligned.
fn days(unit: char) -> u128 {
    match unit {
        'w' => 7,
        'M' => 30,
        'Y' => 365,
        _ => 1,
    }
}

/// A number of times a unit of so many days.
fn counted_ns(number: &str, days: u128) -> Result<u128, NotADuration> {
    Ok(billionths(number)? * days * DAY_NS / SECOND_NS)
}

/// A whole number of a unit is a part of the calendar; a fraction is not.
fn calendar(number: &str, unit: char) -> Option<Calendar> {
    let count: u32 = number.parse().ok()?;
    match unit {
        'd' => Some(Calendar::Days(count.into())),
        'w' => Some(Calendar::Days(u64::from(count) * 7)),
        'M' => Some(Calendar::Months(count)),
        _ => Some(Calendar::Months(count.checked_mul(12)?)),
    }
}

/// One or more numbers with units, such as `1h30m` (<https://pkg.go.dev/time#ParseDuration>).
fn go_ns(text: &str) -> Result<u128, NotADuration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut total: u128 = 0;
    if rest.is_empty() {
        return Err(NotADuration);
    }
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(NotADuration)?;
        let (number, tail) = rest.split_at(unit_at);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let unit_ns: u128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => SECOND_NS,
            "m" => 60 * SECOND_NS,
            "h" => 3_600 * SECOND_NS,
            _ => return Err(NotADuration),
        };
        total = total.saturating_add(billionths(number)?.saturating_mul(unit_ns) / SECOND_NS);
        rest = tail;
    }
    Ok(total)
}

/// A plain decimal number in billionths: no sign, no exponent.
fn billionths(number: &str) -> Result<u128, NotADuration> {
    if !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(NotADuration);
    }
    decimal(number, 9).map(u128::from).map_err(|_| NotADuration)
}

impl fmt::Display for ResetDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl From<ResetDuration> for String {
    fn from(duration: ResetDuration) -> Self {
        duration.written.as_ref().to_owned()
    }
}

impl TryFrom<String> for ResetDuration {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map_err(|NotADuration| {
            "not a duration such as 30s, 1h, 1d, 1w, 1M or 1Y, from a millisecond to 292 years"
        })
    }
}

impl Cycle {
    /// UTC days.
    pub const DAYS: Self = Self::Lattice { anchor_ms: 0, length_ms: DAY_MS };

    /// The period in which `wall_ms` lies.
    #[must_use]
    pub fn period(self, wall_ms: u64) -> Period {
        match self {
            Self::Lattice { anchor_ms, length_ms } => lattice(anchor_ms, length_ms.max(1), wall_ms),
            Self::Months(months) => of_months(months.max(1), wall_ms),
        }
    }
}

/// Also before the anchor: the clock may have been set back since.
fn lattice(anchor_ms: u64, length_ms: u64, wall_ms: u64) -> Period {
    let into = i128::from(wall_ms) - i128::from(anchor_ms);
    let start = i128::from(wall_ms) - into.rem_euclid(i128::from(length_ms));
    let at = |ms: i128| u64::try_from(ms.max(0)).unwrap_or(u64::MAX);
    Period { start_ms: at(start), end_ms: at(start + i128::from(length_ms)) }
}

fn of_months(months: u32, wall_ms: u64) -> Period {
    let first = month_of(wall_ms) / months * months;
    let end_ms = month_start_ms(first.saturating_add(months)).unwrap_or(u64::MAX);
    Period { start_ms: month_start_ms(first).unwrap_or(wall_ms), end_ms }
}

/// Months since January 1970. Time beyond the year 9999 is taken for its end.
fn month_of(wall_ms: u64) -> u32 {
    let at = i64::try_from(wall_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let date = TimeZone::UTC.to_datetime(at.unwrap_or(Timestamp::MAX));
    let months = (i32::from(date.year()) - 1970) * 12 + i32::from(date.month()) - 1;
    u32::try_from(months).unwrap_or(0)
}

/// `None` beyond the year 9999.
fn month_start_ms(month: u32) -> Option<u64> {
    let (year, month) = (i16::try_from(1970 + month / 12).ok()?, i8::try_from(month % 12 + 1).ok()?);
    let first = Date::new(year, month, 1).ok()?.to_zoned(TimeZone::UTC).ok()?;
    u64::try_from(first.timestamp().as_millisecond()).ok()
}
