//! Signatures of deliveries: Baseten's header, and those of Standard Webhooks
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::{DeliveryId, SecretValue};

/// What stands before the base64 of a secret.
const PREFIX: &str = "whsec_";

/// `v1=<hex>`: HMAC-SHA-256 of the body as it is sent, keyed with the whole text of the secret.
#[must_use]
pub fn baseten_signature(secret: &SecretValue, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let tag = hmac::sign(&key, body);
    tag.as_ref().iter().fold("v1=".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// `v1,<base64>` for each secret, parted by spaces: HMAC-SHA-256 of `id.timestamp.body`, keyed with the bytes whose base64
/// the secret is. `timestamp_s` is in seconds since 1970 UTC.
#[must_use]
pub fn standard_signature<'a>(
    secrets: impl Iterator<Item = &'a SecretValue>,
    delivery: &str,
    timestamp_s: u64,
    body: &[u8],
) -> String {
    let signed = [format!("{delivery}.{timestamp_s}.").as_bytes(), body].concat();
    let signatures: Vec<String> = secrets.map(|secret| one(secret, &signed)).collect();
    signatures.join(" ")
}

/// What Standard Webhooks calls the id of a message: it is the same in all attempts.
pub(crate) fn message_id(delivery: DeliveryId) -> String {
    delivery.to_string()
}

fn one(secret: &SecretValue, signed: &[u8]) -> String {
    let text = secret.expose();
    let decoded = STANDARD.decode(text.strip_prefix(PREFIX).unwrap_or(text));
    // A text that is not base64 keys as it stands; ours always are.
    let key = decoded.unwrap_or_else(|_| text.as_bytes().to_vec());
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), signed);
    format!("v1,{}", STANDARD.encode(tag.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_208_the_known_body_has_the_known_signature() {
        let body = br#"{"type":"API_BILLING_USAGE","data":{"events":[]}}"#;
        let signature = baseten_signature(&SecretValue::new("whsec_test"), body);
        assert_eq!(signature, "v1=c6fc7a23cbb8ad954bc388206788ca34a45732be9cdca81da7bddfcb9490e0ca");
    }

    #[test]
    fn case_209_one_altered_byte_gives_another_signature() {
        let (secret, body) = (SecretValue::new("whsec_test"), b"{\"type\":\"API_BILLING_USAGE\"}".to_vec());
        let signature = baseten_signature(&secret, &body);
        for at in 0..body.len() {
            let mut altered = body.clone();
            altered[at] ^= 1;
            assert_ne!(baseten_signature(&secret, &altered), signature, "byte {at}");
        }
    }

    #[test]
    fn the_example_of_the_standard_has_its_signature() {
        let secret = SecretValue::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let body = br#"{"test": 2432232314}"#;
        let signature =
            standard_signature([&secret].into_iter(), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_secrets_give_a_list_the_newest_first() {
        let (new, old) = (SecretValue::new("whsec_AAAA"), SecretValue::new("whsec_BBBB"));
        let both = standard_signature([&new, &old].into_iter(), "id", 1, b"body");
        let each = [&new, &old].map(|secret| standard_signature([secret].into_iter(), "id", 1, b"body"));
        assert_eq!(both, each.join(" "));
    }
}
