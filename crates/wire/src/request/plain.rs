//! JSON that every reader reads, and all of them alike: I-JSON (RFC 7493), not nested deep.
//!
//! What callers write into `metadata` goes to receivers of bills. One that cannot read a single number or letter of it
//! refuses the whole bill, with the calls of others in it.
//! Begins at [`is_plain`].

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// How deep objects and arrays may nest. Some readers stop at 64, and the bill around it has levels of its own.
const DEPTH_MAX: u8 = 32;

/// Whether no name is repeated, no number too large, no letter half, and nothing nested too deep.
pub(super) fn is_plain(json: &str) -> bool {
    let mut reader = serde_json::Deserializer::from_str(json);
    Plain { depth: DEPTH_MAX }.deserialize(&mut reader).is_ok() && reader.end().is_ok()
}

/// A value that is looked at and not kept, with so many levels below it at most.
#[derive(Clone, Copy)]
struct Plain {
    depth: u8,
}

impl Plain {
    fn within<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("nested too deep"))?;
        Ok(Self { depth })
    }
}

impl<'de> DeserializeSeed<'de> for Plain {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Plain {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("plain JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let within = self.within()?;
        while list.next_element_seed(within)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let (within, mut names) = (self.within()?, HashSet::new());
        while let Some(name) = object.next_key::<String>()? {
            object.next_value_seed(within)?;
            if !names.insert(name) {
                return Err(A::Error::custom("a name is repeated"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_readers_stumble_over_is_not_plain() {
        for plain in [
            r#"{"a":1.50,"b":[null,true,-1e9,18446744073709551616],"c":"\ud83d\ude00 \u0000","d":{"a":{}}}"#,
            "{}",
        ] {
            assert!(is_plain(plain), "{plain}");
        }
        for odd in [
            r#"{"a":1e400}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"\udc00":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":[{"b":1,"b":1}]}"#,
            "{} {}",
        ] {
            assert!(!is_plain(odd), "{odd}");
        }
    }

    #[test]
    fn it_nests_as_deep_as_the_bound_and_no_deeper() {
        let nested = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        assert!(is_plain(&nested(usize::from(DEPTH_MAX))));
        assert!(!is_plain(&nested(usize::from(DEPTH_MAX) + 1)));
        assert!(!is_plain(&format!("{}1{}", "[".repeat(100), "]".repeat(100))));
    }
}
