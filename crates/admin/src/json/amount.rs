//! An amount in USD as clients write it: a number or a decimal string.
//!
//! Guarantees: read from its digits alone, so that nothing is lost to a binary number on the way and one that is too
//! large is refused where it stands.
//! Knows nothing of: what is paid for. Begins at [`Amount`].

use std::borrow::Cow;

use domain::Usd;
use domain::money::NotAnAmount;
use serde::de::{Deserialize, Deserializer, Error};
use serde_json::value::RawValue;
use utoipa::openapi::schema::{AnyOfBuilder, Schema};
use utoipa::openapi::{ObjectBuilder, RefOr, Type};
use utoipa::{PartialSchema, ToSchema};

/// What a decimal string looks like. One that is below zero or too large looks so too.
const PATTERN: &str = r"^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?$";

/// An amount in USD, 0 or more; decimals beyond the ninth are cut off.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amount(pub Usd);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        read(json.get()).map(Self).map_err(|not| {
            let why = not.why();
            D::Error::custom(format_args!(
                "expected an amount in USD, 0 or more, as a number or a decimal string, and this is {why}"
            ))
        })
    }
}

fn read(json: &str) -> Result<Usd, NotAnAmount> {
    let text = match json.starts_with('"') {
        true => serde_json::from_str(json).map_err(|_| NotAnAmount::NotANumber)?,
        false => Cow::Borrowed(json),
    };
    text.parse()
}

impl PartialSchema for Amount {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(PATTERN)).examples(["2.5"]);
        let number = ObjectBuilder::new().schema_type(Type::Number).minimum(Some(0));
        let what = "USD, 0 or more, as a number or a decimal string; decimals beyond the ninth are cut off.";
        Schema::from(AnyOfBuilder::new().item(text).item(number).description(Some(what))).into()
    }
}

impl ToSchema for Amount {
    fn name() -> Cow<'static, str> {
        "AmountWanted".into()
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::error::Error;
    use crate::json::{Object, parse};

    #[derive(Debug, Deserialize)]
    struct Body {
        prices: Vec<Object<Price>>,
    }
    #[derive(Debug, Deserialize)]
    struct Price {
        usd: Amount,
        #[serde(default)]
        more: Option<Amount>,
    }

    fn body(usd: &str) -> Result<Price, Error> {
        let body = format!(r#"{{"prices":[{{"usd":{usd}}}]}}"#);
        parse::<Body>(body.as_bytes()).map(|mut body| body.prices.remove(0).0)
    }

    #[test]
    fn numbers_and_strings_keep_every_one_of_nine_decimals() {
        for (written, nanos) in [
            ("0", 0),
            ("2.5", 2_500_000_000),
            ("\"2.5\"", 2_500_000_000),
            ("1e-9", 1),
            ("\"1E-9\"", 1),
            // No binary number of 64 bits means these.
            ("8123456789.123456789", 8_123_456_789_123_456_789),
            ("\"8123456789.123456789\"", 8_123_456_789_123_456_789),
            ("0.0000000019", 1),
            ("\"\\u0031\"", 1_000_000_000),
            ("-0.0", 0),
        ] {
            assert_eq!(body(written).unwrap().usd.0, Usd(nanos), "{written}");
        }
        assert!(body("1").unwrap().more.is_none());
        assert!(parse::<Body>(br#"{"prices":[{"usd":1,"more":null}]}"#).is_ok());
    }

    #[test]
    fn what_is_no_amount_is_refused_by_the_name_of_its_field() {
        for (written, why) in [
            ("-1", "below zero"),
            ("\"-0.0000000001\"", "below zero"),
            ("1e400", "too large"),
            ("\"1e400\"", "too large"),
            ("9223372037", "too large"),
            ("\"NaN\"", "not a decimal number"),
            ("\"Infinity\"", "not a decimal number"),
            ("\"\"", "not a decimal number"),
            ("\"\\ud800\"", "not a decimal number"),
            ("true", "not a decimal number"),
            ("null", "not a decimal number"),
            ("[1]", "not a decimal number"),
            ("{}", "not a decimal number"),
        ] {
            let Err(Error::Invalid(message)) = body(written) else { panic!("{written}") };
            assert!(message.starts_with("prices[0].usd: expected an amount in USD"), "{message}");
            assert!(message.ends_with(&format!("and this is {why}.")), "{message}");
        }
        assert!(matches!(body("NaN"), Err(Error::Invalid(_))), "no JSON at all");
    }
}
