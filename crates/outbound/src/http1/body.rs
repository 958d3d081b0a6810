//! Where the body of an answer ends, and what of it is there.

use bytes::{Buf as _, Bytes, BytesMut};

use super::fault::Fault;

/// Longest line of the chunked coding, in bytes: a size with its extensions, or a trailer.
const LINE_MAX: usize = 4 * 1024;
/// What the chunked coding may carry beside data and its sizes, in one answer, in bytes: extensions and trailers.
const BESIDE_MAX: usize = 16 * 1024;
/// Digits of a chunk's size: as many as 64 bits take.
const SIZE_DIGITS_MAX: usize = 16;

/// How a body is framed, and how much of it is still to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Framing {
    /// The head has not come.
    Unknown,
    /// So many bytes.
    Length(u64),
    /// In chunks.
    Chunked(Chunks),
    /// Until the server closes.
    ToTheEnd,
    /// Nothing.
    Over,
}

/// Where in the chunked coding the next byte stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Chunks {
    at: At,
    /// Bytes of extensions and trailers that came.
    beside: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum At {
    /// A line with the size of a chunk.
    #[default]
    Size,
    /// So many bytes of data.
    Data(u64),
    /// The end of the line after the data.
    DataEnd,
    /// A trailer, or the empty line that ends everything.
    Trailer,
    /// After that line.
    End,
}

impl Framing {
    pub(super) fn is_over(&self) -> bool {
        *self == Self::Over
    }

    pub(super) fn ends_with_the_connection(&self) -> bool {
        *self == Self::ToTheEnd
    }

    /// What is left, where that is known.
    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Over => Some(0),
            Self::Unknown | Self::Chunked(_) | Self::ToTheEnd => None,
        }
    }

    /// Takes the next piece of the body out of the buffer, if there is one, and what follows it that is no data: so the
    /// end is known with the last piece, where it came with it.
    pub(super) fn data(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        self.settle(buffer)?;
        if buffer.is_empty() {
            return Ok(None);
        }
        let data = match self {
            Self::Length(left) | Self::Chunked(Chunks { at: At::Data(left), .. }) => take(buffer, left),
            Self::ToTheEnd => buffer.split().freeze(),
            Self::Unknown | Self::Chunked(_) | Self::Over => return Ok(None),
        };
        // Whatever is wrong with what follows is found again when it is asked for: this piece is in order.
        let _ = self.settle(buffer);
        Ok(Some(data))
    }

    /// Reads over what is no data, as far as it is there.
    pub(super) fn settle(&mut self, buffer: &mut BytesMut) -> Result<(), Fault> {
        let is_over = match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunks) => chunks.settle(buffer)?,
            Self::Unknown | Self::ToTheEnd | Self::Over => false,
        };
        if is_over {
            *self = Self::Over;
        }
        Ok(())
    }
}

impl Chunks {
    /// Whether the end was reached.
    fn settle(&mut self, buffer: &mut BytesMut) -> Result<bool, Fault> {
        loop {
            self.at = match self.at {
                At::Data(0) => At::DataEnd,
                At::Data(_) => return Ok(false),
                At::End => return Ok(true),
                At::Size | At::DataEnd | At::Trailer => {
                    let Some(line) = line(buffer)? else { return Ok(false) };
                    let next = self.after(line)?;
                    let length = line.len() + 2;
                    buffer.advance(length);
                    next
                }
            };
        }
    }

    /// Where the byte after this line stands.
    fn after(&mut self, line: &[u8]) -> Result<At, Fault> {
        match self.at {
            At::Size => {
                let (size, extensions) = size(line).ok_or(Fault::Garbage("a chunk's size that is none"))?;
                self.carries(extensions)?;
                Ok(if size == 0 { At::Trailer } else { At::Data(size) })
            }
            At::DataEnd if line.is_empty() => Ok(At::Size),
            At::DataEnd => Err(Fault::Garbage("a chunk longer than its size")),
            At::Trailer if line.is_empty() => Ok(At::End),
            At::Trailer => self.carries(line).map(|()| At::Trailer),
            at @ (At::Data(_) | At::End) => Ok(at),
        }
    }

    /// What nobody reads. It may be anything but control characters, and not much.
    fn carries(&mut self, beside: &[u8]) -> Result<(), Fault> {
        self.beside += beside.len();
        if self.beside > BESIDE_MAX {
            return Err(Fault::Garbage("more extensions and trailers than anybody needs"));
        }
        if beside.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(Fault::Garbage("a control character in an extension or a trailer"));
        }
        Ok(())
    }
}

/// At most so much of the buffer as is left of the body.
fn take(buffer: &mut BytesMut, left: &mut u64) -> Bytes {
    let there = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
    *left -= u64::try_from(there).unwrap_or(u64::MAX);
    buffer.split_to(there).freeze()
}

/// The first line, without its end, if it is there. A line feed alone ends none: others might read on.
fn line(buffer: &[u8]) -> Result<Option<&[u8]>, Fault> {
    let Some(end) = buffer.iter().take(LINE_MAX).position(|byte| *byte == b'\n') else {
        return if buffer.len() < LINE_MAX {
            Ok(None)
        } else {
            Err(Fault::Garbage("a line that is too long"))
        };
    };
    let line = buffer.get(..end).and_then(|line| line.strip_suffix(b"\r"));
    line.map(Some).ok_or(Fault::Garbage("a line that ends in a line feed alone"))
}

/// The size of a chunk, and what is said beside it. Spaces after the size are taken, as old servers write them.
fn size(line: &[u8]) -> Option<(u64, &[u8])> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (number, rest) = line.split_at_checked(digits)?;
    if !(1..=SIZE_DIGITS_MAX).contains(&digits) {
        return None;
    }
    let size = u64::from_str_radix(std::str::from_utf8(number).ok()?, 16).ok()?;
    let spaces = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let (_, extensions) = rest.split_at_checked(spaces)?;
    let is_plain = extensions.first().is_none_or(|byte| *byte == b';');
    is_plain.then_some((size, extensions))
}
