//! The crash loop in its short form: the real program, killed some times under load. `cargo xtask proof crash` is the
//! long one.

use std::time::Duration;

use proof::crash::{Plan, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_was_seen_of_a_call_stands_in_the_ledger_after_kill_9() {
    let plan = Plan {
        seed: 20_261_121,
        kills: 6,
        between: Duration::from_secs(3),
        callers: 32,
        torn_percent: 40,
        ..Plan::default()
    };
    let verdict = run(&plan).await.expect("the gateway comes up again and answers");
    assert!(verdict.holds(), "{verdict}");
}
