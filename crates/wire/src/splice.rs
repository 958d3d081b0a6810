//! Replaces parts of a document and leaves the rest as it is, byte for byte.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

/// One replacement. An empty `at` inserts.
#[derive(Debug, Clone)]
pub(crate) struct Edit<'a> {
    pub(crate) at: Range<usize>,
    pub(crate) with: Cow<'a, str>,
}

/// A copy of the document with the edits made. They lie within it and do not overlap; their order is free.
pub(crate) fn splice(document: &[u8], mut edits: Vec<Edit<'_>>) -> Bytes {
    edits.sort_by_key(|edit| edit.at.start);
    let added: usize = edits.iter().map(|edit| edit.with.len()).sum();
    let mut copy = Vec::with_capacity(document.len() + added);
    let mut kept = 0;
    for Edit { at, with } in edits {
        copy.extend_from_slice(&document[kept..at.start]);
        copy.extend_from_slice(with.as_bytes());
        kept = at.end;
    }
    copy.extend_from_slice(&document[kept..]);
    Bytes::from(copy)
}

/// A string as JSON text, quotes included.
pub(crate) fn quoted(string: &str) -> String {
    serde_json::to_string(string).expect("a string can always be written as JSON")
}

#[cfg(test)]
mod tests {
    use super::{Edit, quoted, splice};

    #[test]
    fn edits_are_made_wherever_they_stand_in_the_list() {
        let edits = vec![Edit { at: 4..5, with: "E".into() }, Edit { at: 1..1, with: "+".into() }];
        assert_eq!(splice(b"abcdef", edits), "a+bcdEf");
    }

    #[test]
    fn quotes_and_control_characters_are_escaped() {
        assert_eq!(quoted("a\"b\\\n"), r#""a\"b\\\n""#);
    }
}
