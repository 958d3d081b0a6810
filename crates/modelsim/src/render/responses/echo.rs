//! What a response says again of its request, with OpenAI's defaults for what was not said.

use std::collections::HashMap;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::ask::Ask;

/// Each repeated field and the JSON that stands for it where it is missing or null.
const ECHOED: [(&str, &str); 17] = [
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("service_tier", r#""default""#),
    ("store", "true"),
    ("temperature", "1.0"),
    ("text", r#"{"format":{"type":"text"},"verbosity":"medium"}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "1.0"),
    ("truncation", r#""disabled""#),
    ("user", "null"),
];

/// The fields as they were written.
pub(super) struct Echo<'a> {
    given: HashMap<String, &'a RawValue>,
}

impl<'a> Echo<'a> {
    pub(super) fn of(ask: &Ask<'a>) -> Echo<'a> {
        // It was read as an object already; were it none, the defaults would stand.
        Echo { given: serde_json::from_slice(ask.json).unwrap_or_default() }
    }
}

impl Serialize for Echo<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(ECHOED.len()))?;
        for (name, default) in ECHOED {
            let given = self.given.get(name).filter(|value| value.get() != "null");
            match given {
                Some(value) => map.serialize_entry(name, value)?,
                None => map.serialize_entry(name, &raw(default))?,
            }
        }
        map.end()
    }
}

fn raw(json: &'static str) -> &'static RawValue {
    serde_json::from_str(json).expect("the defaults are JSON")
}
