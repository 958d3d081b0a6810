//! The system's randomness, for keys and ids.

use aws_lc_rs::rand;

/// The digits of keys: safe in a header, a path and a shell.
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Bytes that a pool draws at once.
const POOL_LEN: usize = 512;

/// Fresh bytes of the system's randomness.
#[must_use]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("without the system's randomness no key can be safe");
    bytes
}

/// Randomness for ids that need not be secret, drawn from the system a page at a time: asking it for each call costs more
/// than the rest of an id.
#[derive(Debug)]
pub struct RandomPool {
    drawn: [u8; POOL_LEN],
    used: usize,
}

impl Default for RandomPool {
    fn default() -> Self {
        Self { drawn: [0; POOL_LEN], used: POOL_LEN }
    }
}

impl RandomPool {
    /// Fresh bytes; each is given once. At most 512 at a time.
    #[must_use]
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        const { assert!(N <= POOL_LEN, "no more than a pool holds") };
        if self.used + N > POOL_LEN {
            (self.drawn, self.used) = (random_bytes(), 0);
        }
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.drawn[self.used..self.used + N]);
        self.used += N;
        bytes
    }
}

/// Fresh text of `len` letters and digits, each as likely as any other.
#[must_use]
pub fn random_base62(len: usize) -> String {
    // 248 is the largest multiple of 62 in a byte: bytes from there on would favour the first digits.
    let even = u8::MAX - u8::MAX % 62;
    let mut text = String::with_capacity(len);
    while text.len() < len {
        let bytes = random_bytes::<64>();
        let digits = bytes.iter().filter(|byte| **byte < even).map(|byte| BASE62[usize::from(byte % 62)]);
        let missing = len - text.len();
        text.extend(digits.map(char::from).take(missing));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_text_has_its_length_and_alphabet_and_does_not_repeat() {
        let (one, two) = (random_base62(32), random_base62(32));
        assert_eq!((one.len(), two.len()), (32, 32));
        assert!(one.bytes().all(|byte| BASE62.contains(&byte)));
        assert_ne!(one, two);
    }

    #[test]
    fn a_pool_gives_nothing_twice_however_it_is_drawn() {
        let mut pool = RandomPool::default();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..200 {
            assert!(seen.insert(pool.bytes::<10>()));
            assert!(seen.insert(pool.bytes::<10>()));
            assert_ne!(pool.bytes::<16>(), [0; 16]);
        }
    }

    #[test]
    fn no_digit_is_favoured() {
        let text = random_base62(62_000);
        for digit in BASE62 {
            let seen = text.bytes().filter(|byte| byte == digit).count();
            // 1000 are expected; 200 is six standard deviations.
            assert!((800..1200).contains(&seen), "{}: {seen}", char::from(*digit));
        }
    }
}
