//! Money: whole nano-dollars, read from decimal text without a floating-point number in between.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Decimals that are kept of an amount in dollars; further ones are cut off.
const DECIMALS: i64 = 9;
/// Digits that are read of a number; a number with more of them before its decimal point is too large anyway.
const DIGITS_MAX: usize = 30;

/// An amount in nano-dollars (1e-9 USD), never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Usd(pub u64);

/// A difference in nano-dollars: what a correction adds to a cost, or takes from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct SignedUsd(pub i64);

/// A number of things or a sum of money: how the numbers of a limit are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// Requests, tokens or calls.
    Count(u64),
    /// Money.
    Usd(Usd),
}

/// Why a text is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAnAmount {
    /// Not a decimal number.
    NotANumber,
    /// Below zero.
    Negative,
    /// Above [`Usd::MAX`], which no sum of money in the world reaches.
    TooLarge,
}

impl Default for Amount {
    fn default() -> Self {
        Self::Count(0)
    }
}

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The most that is accepted: 2^63 - 1 nano-dollars, some nine thousand million dollars.
    pub const MAX: Self = Self(i64::MAX.unsigned_abs());

    /// The sum; no more than fits.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }
}

impl FromStr for Usd {
    type Err = NotAnAmount;

    fn from_str(text: &str) -> Result<Self, NotAnAmount> {
        decimal(text, DECIMALS).map(Self)
    }
}

/// Without zeros at its end: `0.6`, `10`.
impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dollars, nanos) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        if nanos == 0 {
            return write!(f, "{dollars}");
        }
        let nanos = format!("{nanos:09}");
        write!(f, "{dollars}.{}", nanos.trim_end_matches('0'))
    }
}

impl From<Usd> for SignedUsd {
    fn from(usd: Usd) -> Self {
        Self(i64::try_from(usd.0).unwrap_or(i64::MAX))
    }
}

impl FromStr for SignedUsd {
    type Err = NotAnAmount;

    fn from_str(text: &str) -> Result<Self, NotAnAmount> {
        let size = |text: &str| text.parse::<Usd>().map(Self::from);
        match text.strip_prefix('-') {
            Some(rest) if rest.starts_with(['-', '+']) => Err(NotAnAmount::NotANumber),
            Some(rest) => size(rest).map(|Self(nanos)| Self(-nanos)),
            None => size(text),
        }
    }
}

/// As [`Usd`] is written, with a sign where it is below zero: `-0.6`.
impl fmt::Display for SignedUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}", Usd(self.0.unsigned_abs()))
    }
}

impl NotAnAmount {
    /// What is wrong, as the end of a sentence.
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::NotANumber => "not a decimal number",
            Self::Negative => "below zero",
            Self::TooLarge => "too large",
        }
    }
}

/// Reads a decimal number times ten to the `scale`, cut to a whole one of at most 2^63 - 1. An exponent is understood,
/// since JSON numbers may have one.
///
/// # Errors
/// What is not a number, negative, or too large.
pub fn decimal(text: &str, scale: i64) -> Result<u64, NotAnAmount> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (number, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i64 = exponent.parse().map_err(|_| NotAnAmount::NotANumber)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    if digits().next().is_none() || !digits().all(|digit| digit.is_ascii_digit()) {
        return Err(NotAnAmount::NotANumber);
    }
    let places =
        i64::try_from(whole.len()).unwrap_or(i64::MAX).saturating_add(exponent).saturating_add(scale);
    let value = shifted(digits().map(|digit| digit - b'0'), places)?;
    let is_nought = digits().all(|digit| digit == b'0');
    if negative && !is_nought { Err(NotAnAmount::Negative) } else { Ok(value) }
}

/// The number whose digits are these, with the decimal point after so many of them.
fn shifted(digits: impl Iterator<Item = u8>, places: i64) -> Result<u64, NotAnAmount> {
    let mut value: u128 = 0;
    let mut digits = digits.enumerate().skip_while(|(_, digit)| *digit == 0).peekable();
    let Some((first, _)) = digits.peek().copied() else { return Ok(0) };
    let first = i64::try_from(first).unwrap_or(i64::MAX);
    let kept = match usize::try_from(places.saturating_sub(first)) {
        Ok(kept) if kept <= DIGITS_MAX => kept,
        Ok(_) => return Err(NotAnAmount::TooLarge),
        // All of it is beyond the last decimal that is kept.
        Err(_) => return Ok(0),
    };
    for digit in digits.map(|(_, digit)| digit).chain(std::iter::repeat(0)).take(kept) {
        value = value * 10 + u128::from(digit);
    }
    u64::try_from(value).ok().filter(|value| *value <= Usd::MAX.0).ok_or(NotAnAmount::TooLarge)
}

/// As a decimal string, which every client can read without loss.
impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// As a decimal string.
impl Serialize for SignedUsd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// As a number: whole, or in dollars.
impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => serializer.serialize_u64(*count),
            Self::Usd(usd) => usd_as_number(usd, serializer),
        }
    }
}

/// Writes dollars as a number, for `serialize_with`: to the nano-dollar up to four million dollars, and to the sixteenth
/// digit above.
///
/// # Errors
/// Those of the serializer.
pub fn usd_as_number<S: Serializer>(usd: &Usd, serializer: S) -> Result<S::Ok, S::Error> {
    match usd.0 % 1_000_000_000 {
        0 => serializer.serialize_u64(usd.0 / 1_000_000_000),
        // The nearest floating-point number is written with as few digits as mean it again: those of the decimal text.
        _ => serializer.serialize_f64(usd.to_string().parse().unwrap_or(f64::MAX)),
    }
}

/// From a decimal string or a number.
impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Amount;
        impl de::Visitor<'_> for Amount {
            type Value = Usd;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount in USD, as a number or a decimal string")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Usd, E> {
                text.parse().map_err(|not: NotAnAmount| {
                    E::custom(format_args!("an amount in USD that is {}", not.why()))
                })
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Usd, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Usd, E> {
                self.visit_str(&number.to_string())
            }
            // The shortest decimal number that means this very value: what the client wrote.
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Usd, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(Amount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_exactly_and_cut_to_nine_decimals() {
        for (text, nanos) in [
            ("0", 0),
            ("0.1", 100_000_000),
            ("0.2", 200_000_000),
            (".5", 500_000_000),
            ("10", 10_000_000_000),
            ("2.5e-06", 2_500),
            ("1E2", 100_000_000_000),
            ("0.0000000019", 1),
            ("0.00000000099", 0),
            ("-0", 0),
            ("000123.4500", 123_450_000_000),
            ("9223372036.854775807", Usd::MAX.0),
            ("0e999999999999", 0),
        ] {
            assert_eq!(text.parse(), Ok(Usd(nanos)), "{text}");
        }
    }

    #[test]
    fn a_difference_has_a_sign_and_is_read_back() {
        for (text, nanos) in
            [("-0.6", -600_000_000), ("0", 0), ("1.5", 1_500_000_000), ("-9223372036.854775807", -i64::MAX)]
        {
            assert_eq!(text.parse(), Ok(SignedUsd(nanos)), "{text}");
            assert_eq!(SignedUsd(nanos).to_string(), text);
        }
        assert_eq!(SignedUsd(i64::MIN).to_string(), "-9223372036.854775808");
        for bad in ["--1", "-+1", "-", "x", "-9223372036.854775808"] {
            assert!(bad.parse::<SignedUsd>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_amount_says_why() {
        use NotAnAmount::{Negative, NotANumber, TooLarge};
        for (text, why) in [
            ("", NotANumber),
            (".", NotANumber),
            ("abc", NotANumber),
            ("NaN", NotANumber),
            ("inf", NotANumber),
            ("1.2.3", NotANumber),
            ("1e", NotANumber),
            ("--1", NotANumber),
            ("-0.01", Negative),
            ("-0.0000000001", Negative),
            ("1e400", TooLarge),
            ("9223372036.854775808", TooLarge),
            ("1e9223372036854775807", TooLarge),
        ] {
            assert_eq!(text.parse::<Usd>(), Err(why), "{text}");
        }
    }

    #[test]
    fn amounts_are_written_as_people_write_them_and_read_back() {
        for text in ["0", "0.6", "10", "0.000000001", "1234.5", "9223372036.854775807"] {
            assert_eq!(text.parse::<Usd>().map(|usd| usd.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn a_json_number_means_what_was_written() {
        for json in ["0.1", "\"0.1\"", "1e-1"] {
            assert_eq!(serde_json::from_str::<Usd>(json).unwrap(), Usd(100_000_000), "{json}");
        }
        assert_eq!(serde_json::from_str::<Usd>("3").unwrap(), Usd(3_000_000_000));
        for json in ["-1", "true", "null", "\"x\"", "1e300"] {
            assert!(serde_json::from_str::<Usd>(json).is_err(), "{json}");
        }
        assert_eq!(serde_json::to_string(&Usd(600_000_000)).unwrap(), "\"0.6\"");
    }

    #[test]
    fn dollars_as_numbers_are_what_people_would_write() {
        for (nanos, json) in [
            (0, "0"),
            (300_000_000, "0.3"),
            (10_000_000_000, "10"),
            (1, "1e-9"),
            (4_194_303_999_999_999, "4194303.999999999"),
            (11_200_000_000, "11.2"),
        ] {
            let told = serde_json::to_string(&Amount::Usd(Usd(nanos))).unwrap();
            assert_eq!(told, json);
            assert_eq!(serde_json::from_str::<Usd>(&told).unwrap(), Usd(nanos));
        }
        assert_eq!(serde_json::to_string(&Amount::Count(u64::MAX)).unwrap(), u64::MAX.to_string());
    }
}
