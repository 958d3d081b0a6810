//! Reads what a model server says a call used.

use domain::{Usage, UsageSource};
use serde_json::value::RawValue;

use crate::members::members;

/// No call uses more; a larger number is a mistake, and would charge a group for ever.
const TOKENS_MAX: u64 = 1 << 40;

/// Usage as reported. `None` if a count is missing or is none: then it is better to count ourselves than to
/// believe a part. An explicit 0 is 0. Cached tokens may be left out, and are part of the prompt.
pub(crate) fn read_usage(json: &RawValue) -> Option<Usage> {
    let usage = members(json.get(), ["prompt_tokens", "completion_tokens", "prompt_tokens_details"]).ok()?;
    let [input, output, details] = usage.values;
    let input = count(input?)?;
    let output = count(output?)?;
    let cached = match details {
        Some(details) => cached(details)?,
        None => 0,
    };
    Some(Usage { input, output, cached: cached.min(input), source: UsageSource::Reported })
}

/// 0 where nothing is said, `None` where nonsense is.
fn cached(details: &RawValue) -> Option<u64> {
    let Ok(details) = members(details.get(), ["cached_tokens"]) else { return Some(0) };
    match details.values {
        [Some(cached)] if cached.get() != "null" => count(cached),
        _ => Some(0),
    }
}

fn count(json: &RawValue) -> Option<u64> {
    json.get().parse().ok().filter(|count| *count <= TOKENS_MAX)
}

#[cfg(test)]
mod tests {
    use domain::{Usage, UsageSource};
    use serde_json::value::RawValue;

    use super::read_usage;

    fn read(json: &str) -> Option<(u64, u64, u64)> {
        let usage = read_usage(&RawValue::from_string(json.to_owned()).unwrap())?;
        let Usage { input, output, cached, source } = usage;
        assert_eq!(source, UsageSource::Reported);
        Some((input, output, cached))
    }

    #[test]
    fn counts_are_read_and_the_total_is_not_needed() {
        assert_eq!(read(r#"{"prompt_tokens":10,"completion_tokens":9,"total_tokens":19}"#), Some((10, 9, 0)));
    }

    #[test]
    fn an_explicit_nought_is_nought() {
        assert_eq!(read(r#"{"prompt_tokens":0,"completion_tokens":0}"#), Some((0, 0, 0)));
    }

    #[test]
    fn cached_tokens_are_optional_at_every_level() {
        for (details, cached) in [
            ("null", 0),
            ("{}", 0),
            ("[]", 0),
            (r#"{"cached_tokens":null}"#, 0),
            (r#"{"cached_tokens":4,"audio_tokens":0}"#, 4),
            (r#"{"cached_tokens":99}"#, 10),
        ] {
            let json =
                format!(r#"{{"prompt_tokens":10,"completion_tokens":9,"prompt_tokens_details":{details}}}"#);
            assert_eq!(read(&json), Some((10, 9, cached)), "{details}");
        }
    }

    #[test]
    fn nonsense_is_no_usage() {
        for json in [
            "{}",
            "[]",
            "\"x\"",
            r#"{"prompt_tokens":10}"#,
            r#"{"prompt_tokens":10,"completion_tokens":null}"#,
            r#"{"prompt_tokens":-1,"completion_tokens":9}"#,
            r#"{"prompt_tokens":1.5,"completion_tokens":9}"#,
            r#"{"prompt_tokens":"10","completion_tokens":9}"#,
            r#"{"prompt_tokens":1099511627777,"completion_tokens":9}"#,
            r#"{"prompt_tokens":1,"completion_tokens":99999999999999999999999}"#,
            r#"{"prompt_tokens":1,"completion_tokens":9,"prompt_tokens_details":{"cached_tokens":-4}}"#,
        ] {
            assert_eq!(read(json), None, "{json}");
        }
    }

    #[test]
    fn the_largest_believable_number_is_believed() {
        let json = r#"{"prompt_tokens":1099511627776,"completion_tokens":1}"#;
        assert_eq!(read(json), Some((1 << 40, 1, 0)));
    }
}
