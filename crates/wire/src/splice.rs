//! Replaces parts of a document and leaves the rest as it is, byte for byte.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use crate::members::{members, span};

/// One replacement. An empty `at` inserts.
#[derive(Debug, Clone)]
pub(crate) struct Edit<'a> {
    pub(crate) at: Range<usize>,
    pub(crate) with: Cow<'a, str>,
}

/// A copy of the document with the edits made. They lie within it and do not overlap; their order is free.
pub(crate) fn splice<'a>(document: &[u8], mut edits: impl AsMut<[Edit<'a>]>) -> Bytes {
    let edits = edits.as_mut();
    edits.sort_by_key(|edit| edit.at.start);
    let added: usize = edits.iter().map(|edit| edit.with.len()).sum();
    let mut copy = Vec::with_capacity(document.len() + added);
    let mut kept = 0;
    for Edit { at, with } in &*edits {
        copy.extend_from_slice(&document[kept..at.start]);
        copy.extend_from_slice(with.as_bytes());
        kept = at.end;
    }
    copy.extend_from_slice(&document[kept..]);
    Bytes::from(copy)
}

/// The longest document that is copied to be edited, in bytes. Below it one piece is cheaper to send than several.
pub(crate) const ONE_PIECE_MAX: usize = 64 * 1024;

/// The document with the edits made, in pieces: one up to [`ONE_PIECE_MAX`], else what stands between the edits as
/// slices of the document, uncopied. No piece is empty. Edits lie as in [`splice`].
pub(crate) fn splice_pieces(document: &Bytes, mut edits: Vec<Edit<'_>>) -> Vec<Bytes> {
    if edits.is_empty() {
        return vec![document.clone()];
    }
    if document.len() <= ONE_PIECE_MAX {
        return vec![splice(document, edits)];
    }
    edits.sort_by_key(|edit| edit.at.start);
    let mut pieces = Vec::with_capacity(2 * edits.len() + 1);
    let mut kept = 0;
    for Edit { at, with } in edits {
        pieces.push(document.slice(kept..at.start));
        pieces.push(Bytes::from(with.into_owned()));
        kept = at.end;
    }
    pieces.push(document.slice(kept..));
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// An object with these members set to these values: in their places where it has them, else before the others. What
/// is no object stays as it is.
pub(crate) fn with_members<const N: usize>(json: &str, set: [(&'static str, &str); N]) -> String {
    let Ok(object) = members(json, set.map(|(name, _)| name)) else { return json.to_owned() };
    let (mut edits, mut missing) = (Vec::with_capacity(N), Vec::new());
    for ((name, value), old) in set.into_iter().zip(object.values) {
        match old {
            Some(old) => edits.push(Edit { at: span(json, old), with: value.into() }),
            None => missing.push(format!("\"{name}\":{value}")),
        }
    }
    if !missing.is_empty() {
        let opened = json.find('{').map_or(0, |brace| brace + 1);
        let comma = if object.empty { "" } else { "," };
        edits.push(Edit { at: opened..opened, with: (missing.join(",") + comma).into() });
    }
    String::from_utf8_lossy(&splice(json.as_bytes(), edits)).into_owned()
}

/// A string as JSON text, quotes included.
pub(crate) fn quoted(string: &str) -> String {
    serde_json::to_string(string).expect("a string can always be written as JSON")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Edit, ONE_PIECE_MAX, quoted, splice, splice_pieces, with_members};

    fn edits() -> Vec<Edit<'static>> {
        vec![Edit { at: 4..5, with: "E".into() }, Edit { at: 0..1, with: "A".into() }]
    }

    #[test]
    fn a_short_document_stays_in_one_piece() {
        let document = Bytes::from("abcdef".to_owned() + &"x".repeat(ONE_PIECE_MAX - 6));
        let pieces = splice_pieces(&document, edits());
        assert_eq!(pieces.len(), 1);
        assert_eq!(pieces[0], splice(&document, edits()));
    }

    #[test]
    fn what_stands_between_the_edits_of_a_long_document_is_not_copied() {
        let document = Bytes::from("abcdef".to_owned() + &"x".repeat(ONE_PIECE_MAX));
        let pieces = splice_pieces(&document, edits());
        assert_eq!(pieces[..3], ["A", "bcd", "E"].map(Bytes::from));
        assert_eq!(pieces[1].as_ptr(), document[1..].as_ptr());
        assert_eq!(pieces[3].as_ptr(), document[5..].as_ptr());
        assert_eq!(pieces.concat(), splice(&document, edits()));
    }

    #[test]
    fn a_document_without_edits_is_one_piece_however_long() {
        let document = Bytes::from(vec![b'x'; ONE_PIECE_MAX + 1]);
        let pieces = splice_pieces(&document, Vec::new());
        assert_eq!((pieces.len(), pieces[0].as_ptr()), (1, document.as_ptr()));
    }

    #[test]
    fn edits_are_made_wherever_they_stand_in_the_list() {
        let edits = vec![Edit { at: 4..5, with: "E".into() }, Edit { at: 1..1, with: "+".into() }];
        assert_eq!(splice(b"abcdef", edits), "a+bcdEf");
    }

    #[test]
    fn members_are_set_in_their_places_or_before_the_others() {
        let set = |json| with_members(json, [("a", "1"), ("b", "[2]")]);
        assert_eq!(set(r#"{ "b" : null , "x":{"a":0}}"#), r#"{"a":1, "b" : [2] , "x":{"a":0}}"#);
        assert_eq!(set(r#"{"\u0061":0,"b":""}"#), r#"{"\u0061":1,"b":[2]}"#);
        assert_eq!(set("{}"), r#"{"a":1,"b":[2]}"#);
        assert_eq!(set("[]"), "[]");
    }

    #[test]
    fn quotes_and_control_characters_are_escaped() {
        assert_eq!(quoted("a\"b\\\n"), r#""a\"b\\\n""#);
    }
}
