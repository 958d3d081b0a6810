//! `traceparent`, as in the W3C's Trace Context: whose span a call belongs to.

/// A caller's span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parent {
    pub(crate) trace_id: [u8; 16],
    pub(crate) span_id: [u8; 8],
    /// Whether the caller wants its trace to be recorded.
    pub(crate) sampled: bool,
}

impl Parent {
    /// `00-<32 digits>-<16 digits>-<2 digits>`; later versions may go on. Anything else says nothing.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let mut parts = text.split(|byte| *byte == b'-');
        let [version] = hex(parts.next()?)?;
        let (trace_id, span_id) = (hex(parts.next()?)?, hex(parts.next()?)?);
        let [flags] = hex(parts.next()?)?;
        let is_known = version == 0 && parts.next().is_none() || (1..0xff).contains(&version);
        let is_somebodys = trace_id != [0; 16] && span_id != [0; 8];
        (is_known && is_somebodys).then_some(Self { trace_id, span_id, sampled: flags & 1 == 1 })
    }
}

/// Exactly so many bytes, in lower case.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn read(text: &str) -> Option<Parent> {
        Parent::read(text.as_bytes())
    }

    #[test]
    fn a_callers_span_and_its_wish_are_read() {
        let parent = read(&format!("00-{TRACE}-{SPAN}-01")).unwrap();
        assert_eq!((parent.trace_id[0], parent.trace_id[15]), (0x0a, 0x9c));
        assert_eq!((parent.span_id[0], parent.span_id[7], parent.sampled), (0xb7, 0x31, true));
        assert!(!read(&format!("00-{TRACE}-{SPAN}-02")).unwrap().sampled);
        assert!(read(&format!("01-{TRACE}-{SPAN}-01-more")).unwrap().sampled, "a later version may go on");
    }

    #[test]
    fn what_is_none_says_nothing() {
        let upper = TRACE.to_uppercase();
        for text in [
            String::new(),
            "00".to_owned(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{upper}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}0-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-0g"),
        ] {
            assert_eq!(read(&text), None, "{text}");
        }
    }
}
