//! A segment as a start would read it, for whoever looks at one from outside: a person, or a fuzzer.
//!
//! Guarantees: whatever the bytes, it never panics.

use domain::RequestId;

use super::join::{End, Join};
use super::segment::{HEADER_LEN, Head};

/// The calls that a segment tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentSummary {
    /// Those whose end is in it, in the order of their ends.
    pub ended: Vec<RequestId>,
    /// Those of which it tells no end, in the order of their ids.
    pub open: Vec<RequestId>,
    /// Whether something stands after the last record that can be read.
    pub is_torn: bool,
}

/// What the bytes of a segment's file say; none where they do not begin as a segment of this program's version.
#[must_use]
pub fn read_segment(bytes: &[u8]) -> Option<SegmentSummary> {
    let Head::Known(header) = Head::read(bytes) else { return None };
    let (mut join, mut ended) = (Join::default(), Vec::new());
    let frames = bytes.get(HEADER_LEN..).unwrap_or_default();
    let (end, _) = join.read((header.boot, header.salt), frames, |call| ended.push(call.entry.request_id));
    let mut open: Vec<_> = join.open().map(|call| call.request_id()).collect();
    open.sort_unstable();
    Some(SegmentSummary { ended, open, is_torn: end == End::Torn })
}
