//! The proof in its short form: some seconds of load in each mode, so that a breach is seen before it lands.
//! `cargo xtask proof` is the long one.

use std::time::Duration;

use proof::history::Mode;
use proof::run::{Plan, run};

async fn holds(mode: Mode) {
    let plan = Plan { seed: 20_261_121, load: Duration::from_secs(4), mode, callers: 32 };
    let report = run(plan, None).await.expect("the gateway starts and answers");
    let (admitted, refused) = report.calls();
    assert!(report.holds(), "{report}");
    assert!(admitted > 50 && refused > 10 && report.windows() > 100, "too little was tried: {report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_window_is_over_its_cap_in_estimate() {
    holds(Mode::Estimate).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_is_let_into_a_full_window_in_observed() {
    holds(Mode::Observed).await;
}
