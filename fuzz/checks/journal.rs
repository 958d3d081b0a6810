//! Segments of the journal: whatever the bytes, reading them ends in good order, and a segment that was cut tells of
//! nothing that the whole one does not. The first byte says how long payloads are, so that most of them come to be read:
//! bytes that were changed on the disk do not get past their checksum.

use storage::{SegmentSummary, read_segment};

const SALT: u64 = 7;

/// Fails if a promise is broken.
pub(crate) fn check(data: &[u8]) {
    let _ = read_segment(data);
    let Some((len, rest)) = data.split_first() else { return };
    let payloads: Vec<&[u8]> = match len {
        // As they were written: each after its length.
        0 => split(rest),
        len => rest.chunks(usize::from(*len)).collect(),
    };
    let mut segment = header();
    let mut before = told(&segment);
    for payload in payloads.into_iter().filter(|payload| !payload.is_empty()) {
        let at = segment.len();
        segment.extend_from_slice(&frame(payload));
        let after = told(&segment);
        assert!(after.ended.starts_with(&before.ended), "what ended stays ended");
        let cut = told(&segment[..segment.len() - 1]);
        assert_eq!((&cut.ended, &cut.open), (&before.ended, &before.open), "cut within the record at {at}");
        before = after;
    }
}

fn told(segment: &[u8]) -> SegmentSummary {
    read_segment(segment).expect("the header is right")
}

fn split(mut rest: &[u8]) -> Vec<&[u8]> {
    let mut payloads = Vec::new();
    while let Some((len, after)) = rest.split_first_chunk::<2>() {
        let (payload, after) = after.split_at(usize::from(u16::from_le_bytes(*len)).min(after.len()));
        payloads.push(payload);
        rest = after;
    }
    payloads
}

fn header() -> Vec<u8> {
    let mut head = b"tollgate".to_vec();
    head.extend_from_slice(&1_u32.to_le_bytes());
    head.extend_from_slice(&0_u32.to_le_bytes());
    head.extend_from_slice(&1_u64.to_le_bytes());
    head.extend_from_slice(&SALT.to_le_bytes());
    head.extend_from_slice(&[9; 16]);
    head.extend_from_slice(&crc32(&[&head]).to_le_bytes());
    head.resize(64, 0);
    head
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("inputs are short").to_le_bytes();
    let sum = crc32(&[&SALT.to_le_bytes(), &len, payload]).to_le_bytes();
    [&len, &sum, payload].concat()
}

/// CRC-32 as everybody computes it, written out so that the format is checked by something else than itself.
fn crc32(parts: &[&[u8]]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 },
        )
    };
    !parts.iter().flat_map(|part| part.iter()).fold(u32::MAX, step)
}
