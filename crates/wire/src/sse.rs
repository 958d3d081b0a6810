//! Server-sent events: where each one ends, and where its data stands.
//!
//! Follows the HTML standard's event stream format (<https://html.spec.whatwg.org/multipage/server-sent-events.html>):
//! lines end in LF, CR LF or CR; an empty line ends an event; a line that begins with a colon is a comment. The
//! splitter keeps its place between pieces, so bytes are looked at once wherever the stream is cut.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr2;

/// Finds where units end. What belongs to the unit that is not ended yet is the caller's to keep.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    line: Line,
    /// The unit has a line that is no comment.
    begun: bool,
    /// The last byte was a CR: an LF that follows belongs to the same line end.
    after_cr: bool,
}

/// What the current line is so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Line {
    #[default]
    Empty,
    Comment,
    Field,
}

/// What was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// An event, with its empty line.
    Event,
    /// A comment between events, or an empty line. Nobody waits for more of it.
    Aside,
    /// The LF of a line end whose CR has ended the unit before.
    Tail,
}

impl Splitter {
    /// How many of the bytes belong to the current unit, if they end it; then what remains begins the next one.
    /// `None` if all of them belong to it and it goes on.
    pub(crate) fn next(&mut self, bytes: &[u8]) -> Option<(usize, Unit)> {
        let mut at = 0;
        if std::mem::take(&mut self.after_cr) {
            match bytes.first() {
                Some(b'\n') if !self.begun => return Some((1, Unit::Tail)),
                Some(b'\n') => at = 1,
                Some(_) => {}
                None => self.after_cr = true,
            }
        }
        while let Some(len) = memchr2(b'\n', b'\r', &bytes[at..]) {
            self.look(&bytes[at..at + len]);
            let end = at + len;
            at = end + 1;
            if bytes[end] == b'\r' {
                match bytes.get(at) {
                    Some(b'\n') => at += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            if let Some(unit) = self.end_line() {
                return Some((at, unit));
            }
        }
        self.look(&bytes[at..]);
        None
    }

    /// Takes in a part of a line. Only its first byte matters.
    fn look(&mut self, part: &[u8]) {
        self.line = match (self.line, part.first()) {
            (Line::Empty, Some(b':')) => Line::Comment,
            (Line::Empty, Some(_)) => Line::Field,
            (line, _) => line,
        };
    }

    /// What the end of the current line ends besides.
    fn end_line(&mut self) -> Option<Unit> {
        match std::mem::take(&mut self.line) {
            Line::Field => {
                self.begun = true;
                None
            }
            Line::Comment if self.begun => None,
            Line::Empty if std::mem::take(&mut self.begun) => Some(Unit::Event),
            Line::Comment | Line::Empty => Some(Unit::Aside),
        }
    }
}

/// The data of one event, and where it stands in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Data<'a> {
    /// What is found at `i` here stands at `offset + i` in the event.
    pub(crate) bytes: Cow<'a, [u8]>,
    pub(crate) offset: usize,
}

/// The data of an event; `None` if it has none.
///
/// Data of several lines keeps its line ends, and what stands before each line is blanked, not removed: to a reader
/// of JSON that is the same, and every value keeps its place.
pub(crate) fn data(event: &[u8]) -> Option<Data<'_>> {
    let mut lines = data_lines(event);
    let first = lines.next()?;
    let Some(second) = lines.next() else {
        return Some(Data { offset: first.start, bytes: Cow::Borrowed(&event[first]) });
    };
    let blank = |byte: &u8| if matches!(byte, b'\n' | b'\r') { *byte } else { b' ' };
    let mut bytes: Vec<u8> = event.iter().map(blank).collect();
    for line in [first, second].into_iter().chain(lines) {
        bytes[line.clone()].copy_from_slice(&event[line]);
    }
    Some(Data { bytes: Cow::Owned(bytes), offset: 0 })
}

fn data_lines(event: &[u8]) -> impl Iterator<Item = Range<usize>> {
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    let mut start = if event.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    let lines = std::iter::from_fn(move || {
        let rest = event.get(start..).filter(|rest| !rest.is_empty())?;
        let len = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let line = start..start + len;
        start = line.end + 1;
        Some(line)
    });
    lines.filter_map(|line| {
        let value = event[line.clone()].strip_prefix(b"data")?;
        let value = match value {
            [b':', b' ', value @ ..] | [b':', value @ ..] => value,
            [] => value,
            _ => return None,
        };
        Some(line.end - value.len()..line.end)
    })
}

#[cfg(test)]
mod tests;
