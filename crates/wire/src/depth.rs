//! Refuses JSON that nests deeper than anyone needs, before a parser with a stack meets it.

use memchr::memchr2;

/// How deep objects and arrays may nest. A document of exactly this depth is fine.
pub const DEPTH_MAX: usize = 128;

/// Whether the document nests deeper than [`DEPTH_MAX`]. Brackets within strings do not count.
///
/// Says nothing about whether the document is valid; right for every document that is.
#[must_use]
pub fn nests_too_deep(json: &[u8]) -> bool {
    openers(json) > DEPTH_MAX && scan(json)
}

/// How many `{` and `[` there are, those in strings included: a document with few of them cannot nest deep.
/// Written so that it compiles to vector instructions; most bodies need no more than this.
fn openers(json: &[u8]) -> usize {
    // `[` and `{` differ in one bit. 255 comparisons are what fits a byte.
    let few = |chunk: &[u8]| chunk.iter().map(|byte| u8::from(byte | 0x20 == b'{')).sum::<u8>();
    json.chunks(255).map(|chunk| usize::from(few(chunk))).sum()
}

fn scan(json: &[u8]) -> bool {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = json.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' if depth == DEPTH_MAX => return true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => at = string_end(json, at),
            _ => {}
        }
    }
    false
}

/// Where the string ends whose content begins at `at`: after its closing quote, or at the end of the document.
fn string_end(json: &[u8], mut at: usize) -> usize {
    while let Some(found) = json.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found + 1;
        if json[at - 1] == b'"' {
            return at;
        }
        at += 1;
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::{DEPTH_MAX, nests_too_deep};

    fn nested(depth: usize) -> String {
        "[".repeat(depth) + &"]".repeat(depth)
    }

    #[test]
    fn the_deepest_allowed_document_passes_and_the_next_one_does_not() {
        assert!(!nests_too_deep(nested(DEPTH_MAX).as_bytes()));
        assert!(nests_too_deep(nested(DEPTH_MAX + 1).as_bytes()));
        assert!(nests_too_deep("{\"a\":".repeat(DEPTH_MAX + 1).as_bytes()));
    }

    #[test]
    fn many_brackets_side_by_side_are_not_deep() {
        assert!(!nests_too_deep("[]{}".repeat(10_000).as_bytes()));
    }

    #[test]
    fn brackets_in_strings_do_not_count_whatever_is_escaped_before_them() {
        let brackets = "[".repeat(1_000);
        assert!(!nests_too_deep(format!(r#"["{brackets}"]"#).as_bytes()));
        assert!(!nests_too_deep(format!(r#"["\"{brackets}"]"#).as_bytes()));
        assert!(nests_too_deep(format!(r#"["\\",{brackets}"#).as_bytes()));
        assert!(!nests_too_deep(format!(r#"["{brackets}\"#).as_bytes()));
    }
}
