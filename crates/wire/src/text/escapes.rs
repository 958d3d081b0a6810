//! How long a JSON string is without its escapes.

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
    use super::unescaped_len;

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
}
