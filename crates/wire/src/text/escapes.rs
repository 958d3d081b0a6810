//! A JSON string without its escapes: how long it is, and what it says.

use std::borrow::Cow;

use memchr::memchr;

/// Bytes of a JSON string's content in UTF-8, escapes undone.
pub(super) fn unescaped_len(string: &[u8]) -> usize {
    let mut len = string.len();
    let mut rest = string;
    while let Some(found) = memchr(b'\\', rest) {
        let (written, bytes) = match rest.get(found + 1) {
            Some(b'u') => (6, escaped_char_len(rest.get(found + 2..found + 6).unwrap_or_default())),
            _ => (2, 1),
        };
        len = len.saturating_sub(written - bytes);
        rest = rest.get(found + written..).unwrap_or_default();
    }
    len
}

/// What a JSON string's content says, escapes undone; copied only if there are any. Half a surrogate pair becomes the
/// sign for what cannot be read, as it does where a model server reads it.
pub(super) fn unescaped(string: &str) -> Cow<'_, str> {
    if memchr(b'\\', string.as_bytes()).is_none() {
        return Cow::Borrowed(string);
    }
    let mut text = String::with_capacity(string.len());
    let mut rest = string;
    while let Some((plain, escape)) = rest.split_once('\\') {
        text.push_str(plain);
        rest = match escape.strip_prefix('u') {
            Some(digits) => push_units(&mut text, digits),
            None => push_short(&mut text, escape),
        };
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// An escape of one letter, and what comes after it.
fn push_short<'a>(text: &mut String, escape: &'a str) -> &'a str {
    let mut after = escape.chars();
    text.extend(after.next().map(|letter| match letter {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' => '\u{8}',
        'f' => '\u{c}',
        itself => itself,
    }));
    after.as_str()
}

/// An escape by number, from its digits on, with the ones right behind it, since two of them may be one character; and
/// what comes after them.
fn push_units<'a>(text: &mut String, digits: &'a str) -> &'a str {
    let mut rest = Some(digits);
    let mut after = digits;
    let units = std::iter::from_fn(|| {
        let (unit, later) = rest?.split_at_checked(4)?;
        after = later;
        rest = later.strip_prefix("\\u");
        u16::from_str_radix(unit, 16).ok()
    });
    text.extend(char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
    after
}

/// Bytes in UTF-8 of the character with these four hexadecimal digits. Each half of a pair counts half of its four.
fn escaped_char_len(digits: &[u8]) -> usize {
    let code = std::str::from_utf8(digits).ok().and_then(|digits| u32::from_str_radix(digits, 16).ok());
    match code {
        Some(..0x80) => 1,
        Some(..0x800 | 0xD800..0xE000) => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::{unescaped, unescaped_len};

    #[test]
    fn escapes_count_as_what_they_stand_for() {
        for text in
            ["", "plain", "a\"b\\c\n\t/", "\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}", "\u{1f600}x", "\\u0041"]
        {
            let json = serde_json::to_string(text).unwrap();
            assert_eq!(unescaped_len(&json.as_bytes()[1..json.len() - 1]), text.len(), "{text:?}");
            let ascii: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            assert_eq!(unescaped_len(ascii.as_bytes()), text.len(), "{text:?}");
        }
    }

    #[test]
    fn escapes_become_what_they_stand_for() {
        for text in [
            "",
            "plain",
            "a\"b\\c\n\t\r\u{8}\u{c}/",
            "\u{7f}\u{80}\u{ffff}",
            "\u{1f600}x\u{1f600}\u{1f600}",
            "\\u0041",
        ] {
            let json = serde_json::to_string(text).unwrap();
            assert_eq!(unescaped(&json[1..json.len() - 1]), text);
            let ascii: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            assert_eq!(unescaped(&ascii), text);
        }
        assert_eq!(unescaped("\\/\\u00e9\\n"), "/é\n");
    }

    #[test]
    fn what_no_text_can_hold_becomes_a_sign_and_what_follows_stays() {
        for (json, text) in [
            (r"a\ud83db", "a\u{fffd}b"),
            (r"\ud83d\u0041", "\u{fffd}A"),
            (r"\ude00\ud83d", "\u{fffd}\u{fffd}"),
            (r"\ud83d\n", "\u{fffd}\n"),
        ] {
            assert_eq!(unescaped(json), text);
        }
    }
}
