//! The system's randomness, for keys and ids.

use aws_lc_rs::rand;

/// The digits of keys: safe in a header, a path and a shell.
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Fresh bytes of the system's randomness.
#[must_use]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("without the system's randomness no key can be safe");
    bytes
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
    fn no_digit_is_favoured() {
        let text = random_base62(62_000);
        for digit in BASE62 {
            let seen = text.bytes().filter(|byte| byte == digit).count();
            // 1000 are expected; 200 is six standard deviations.
            assert!((800..1200).contains(&seen), "{}: {seen}", char::from(*digit));
        }
    }
}
