//! Gzip without compression: stored blocks only, enough for a reader that must decode.

/// A stored block holds no more than its 16-bit length can say.
const BLOCK_LEN_MAX: usize = u16::MAX as usize;

/// One gzip member; members may follow each other in a stream.
pub(crate) fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    for block in plain.chunks(BLOCK_LEN_MAX) {
        let len = u16::try_from(block.len()).expect("a chunk is no longer than it was asked to be");
        packed.push(0);
        packed.extend_from_slice(&len.to_le_bytes());
        packed.extend_from_slice(&(!len).to_le_bytes());
        packed.extend_from_slice(block);
    }
    // An empty last block, so that the loop needs no case for the last.
    packed.extend_from_slice(&[1, 0, 0, 255, 255]);
    packed.extend_from_slice(&crc32(plain).to_le_bytes());
    packed.extend_from_slice(&length_mod_2_32(plain).to_le_bytes());
    packed
}

fn crc32(plain: &[u8]) -> u32 {
    let crc = plain.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 },
        )
    });
    !crc
}

fn length_mod_2_32(plain: &[u8]) -> u32 {
    u32::try_from(plain.len() as u64 & u64::from(u32::MAX)).expect("masked to 32 bits")
}

#[cfg(test)]
mod tests {
    use super::{crc32, gzip};

    #[test]
    fn the_checksum_is_the_well_known_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn an_empty_text_is_one_empty_block() {
        let packed = gzip(b"");
        assert_eq!(packed[10..], [1, 0, 0, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}
