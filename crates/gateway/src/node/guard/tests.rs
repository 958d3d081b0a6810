use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;

const PATIENCE: Patience = Patience {
    first_byte: Duration::from_secs(30),
    header: Duration::from_secs(10),
    idle: Duration::from_secs(75),
    write: Duration::from_secs(60),
};
const ROOM: usize = 64;

fn connected() -> (Guarded<DuplexStream>, DuplexStream, Arc<Turn>) {
    let (ours, callers) = duplex(ROOM);
    let turn = Turn::new();
    (Guarded::new(ours, Arc::clone(&turn), PATIENCE), callers, turn)
}

/// After how long the next read fails, and that it fails for its lateness.
async fn fails_after(guarded: &mut Guarded<DuplexStream>) -> Duration {
    let begun = Instant::now();
    loop {
        match guarded.read(&mut [0; ROOM]).await {
            Ok(read) => assert!(read > 0, "the caller is still there"),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                return begun.elapsed();
            }
        }
    }
}

fn about(elapsed: Duration, expected: Duration) -> bool {
    // The timers of the runtime round up to a millisecond.
    elapsed >= expected && elapsed <= expected + Duration::from_millis(2)
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_says_nothing_fails_after_first_byte_timeout() {
    let (mut guarded, _callers, _) = connected();
    assert!(about(fails_after(&mut guarded).await, PATIENCE.first_byte));
    assert!(!guarded.header_was_late());
}

#[tokio::test(start_paused = true)]
async fn a_header_that_drips_fails_header_timeout_after_its_first_byte() {
    let (mut guarded, mut callers, _) = connected();
    tokio::time::sleep(Duration::from_secs(20)).await;
    let dripping = tokio::spawn(async move {
        while callers.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
    });
    assert!(about(fails_after(&mut guarded).await, PATIENCE.header));
    assert!(guarded.header_was_late() && guarded.owes_a_word());
    drop(guarded);
    dripping.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn while_a_call_is_served_its_caller_may_be_silent() {
    let (mut guarded, _callers, turn) = connected();
    turn.set(Stage::Serving);
    let hour = Duration::from_secs(3_600);
    assert!(tokio::time::timeout(hour, guarded.read(&mut [0; ROOM])).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_kept_alive_connection_may_be_idle_for_idle_timeout_from_each_answer_on() {
    let (mut guarded, mut callers, turn) = connected();
    for _ in 0..3 {
        callers.write_all(b"GET").await.unwrap();
        guarded.read_exact(&mut [0; 3]).await.unwrap();
        turn.set(Stage::Serving);
        tokio::time::sleep(Duration::from_secs(40)).await;
        turn.set(Stage::Flushing);
        guarded.flush().await.unwrap();
        assert_eq!(turn.stage(), Stage::Idle);
        let nearly = PATIENCE.idle - Duration::from_secs(1);
        assert!(tokio::time::timeout(nearly, guarded.read(&mut [0; ROOM])).await.is_err());
    }
    assert!(about(fails_after(&mut guarded).await, Duration::from_secs(1)));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_takes_nothing_is_given_up_after_write_timeout_and_one_that_takes_a_little_is_not() {
    let (mut guarded, mut callers, turn) = connected();
    turn.set(Stage::Serving);
    let begun = Instant::now();
    let reading = tokio::spawn(async move {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(50)).await;
            callers.read_exact(&mut [0; 1]).await.unwrap();
        }
        callers
    });
    let error = guarded.write_all(&[0; ROOM * 2]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(about(begun.elapsed(), Duration::from_secs(150) + PATIENCE.write));
    drop(reading.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_while_no_request_is_served_but_a_word_is_owed() {
    let (mut guarded, mut callers, turn) = connected();
    guarded.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    assert!(guarded.owes_a_word());
    turn.set(Stage::Serving);
    guarded.write_all(b"an answer").await.unwrap();
    drop(guarded);
    let mut got = String::new();
    callers.read_to_string(&mut got).await.unwrap();
    assert_eq!(got, "an answer");
}
