//! Secrets, and how they are replaced.

use std::time::Duration;

use serde_json::json;

use crate::support::Billed;

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn for_a_day_after_a_rotation_both_secrets_verify_by_the_standard_and_the_newest_alone_otherwise() {
    let mut billed = Billed::start().await;
    let rotated = billed.gw.post("/v1/gateway/webhook/rotate_secret", json!({})).await.expect(200).body;
    let (old, new) = (billed.secret.clone(), rotated["secret"].as_str().unwrap().to_owned());
    assert_ne!(old, new);
    billed.call().await;
    billed.receiver.wait_for(1).await;
    billed.gw.pass(23 * HOUR);
    billed.gw.restart().await;
    billed.call().await;
    billed.receiver.wait_for(2).await;
    billed.gw.pass(HOUR);
    billed.call().await;
    let received = billed.receiver.wait_for(3).await;
    for (at, one) in received.iter().enumerate() {
        assert!(one.is_signed_by(&new) && !one.is_signed_by(&old), "{at}: the newest only");
        assert!(one.is_standard_signed_by(&new), "{at}");
        assert_eq!(one.is_standard_signed_by(&old), at < 2, "{at}: for 24 hours");
    }
}

#[tokio::test]
async fn no_secret_is_found_in_the_files_or_shown_a_second_time() {
    let mut billed = Billed::start().await;
    let rotated = billed.gw.post("/v1/gateway/webhook/rotate_secret", json!({})).await.expect(200).body;
    let shown = billed.gw.get("/v1/gateway/webhook").await.expect(200).text;
    billed.gw.stop().await;
    let secrets = [&billed.secret[6..], &rotated["secret"].as_str().unwrap()[6..]];
    for file in std::fs::read_dir(billed.gw.dir()).unwrap().map(|file| file.unwrap().path()) {
        let Ok(bytes) = std::fs::read(&file) else { continue };
        for secret in secrets {
            assert!(!shown.contains(secret));
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{}", file.display());
        }
    }
}
