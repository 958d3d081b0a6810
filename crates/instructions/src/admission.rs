//! Admission and settlement of calls that are all alike, on the paths of [`crate::paths`].
//!
//! Calls have a price, and what an admission saw is kept, as both are for calls of the gateway. A call comes every 5 ms
//! and takes half a second, so that slots of every window turn and leave while it is counted.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;

use domain::{Now, Tariff, Usd};
use limits::{Ask, Decision, Engine, Need, Path, PathSpec, Reservation, Seen, Size, TopUp};

use crate::paths::{bind_crowd, bind_lines, leaf, limited, sharing};
use crate::tally::{Tally, Task};

/// In the order of a call's life. What stands side by side for the sake of a ratio is named in `xtask` as well.
pub(crate) const TASKS: &[Task] = &[
    Task { name: "reserve, 15 counters", rounds: 15_000, run: reserve },
    Task { name: "refuse, 15 counters", rounds: 2_000, run: refuse },
    Task { name: "top up, 15 counters", rounds: 15_000, run: top_up },
    Task { name: "settle, 15 counters", rounds: 15_000, run: settle },
    Task { name: "reserve and settle among 10 groups", rounds: 10_000, run: among_few },
    Task { name: "reserve and settle among 100 000 groups, 10 000 lines", rounds: 10_000, run: among_many },
];

/// At 2.50 USD for a million tokens of prompt and 10 USD of output.
const ASK: Ask = Ask {
    need: Need::Declared { prompt: 300, output: 500 },
    tariff: Tariff { input: Usd(2_500_000_000), output: Usd(10_000_000_000) },
};
/// Tokens of [`ASK`].
const HELD: u64 = 800;
const USED: Size = Size { tokens: 420, usd: Usd(1_950_000) };
const STEP_MS: u64 = 5;
/// Half a second's.
const IN_FLIGHT: usize = 100;
/// How many calls a limit admits that refuses the next, and over what part of its minute they are spread.
const FILL: (u64, u64) = (100, 50_000);
const TOP_UP: u64 = 256;

fn reserve(tally: &mut Tally) {
    let mut calls = Calls::on(leaf(0));
    while !tally.is_full() {
        let now = calls.next();
        let Calls { engine, path, seen, .. } = &mut calls;
        let decision = tally.count(|| engine.reserve(path, black_box(ASK), now, Some(seen)));
        calls.hold(admitted(decision));
        calls.end(now);
    }
}

/// A limit of the caller's own is full; when it has room again has to be found in its window.
fn refuse(tally: &mut Tally) {
    let (calls_max, over_ms) = FILL;
    let Calls { engine, path, mut seen, .. } = Calls::on(limited(leaf(0), calls_max * HELD));
    for call in 0..calls_max {
        let decision = engine.reserve(&path, ASK, at_ms(call * over_ms / calls_max), None);
        engine.settle(admitted(decision), Size { tokens: HELD, ..USED }, at_ms(over_ms));
    }
    let now = at_ms(over_ms);
    while !tally.is_full() {
        tally.count(|| match engine.reserve(&path, black_box(ASK), now, Some(&mut seen)) {
            Decision::Refused(refusal) => drop(black_box(refusal)),
            Decision::Admitted(_) | Decision::Stale => unreachable!("the limit is full"),
        });
    }
}

/// The first top-up of a call in the mode `hard`.
fn top_up(tally: &mut Tally) {
    let mut calls = Calls::on(leaf(0));
    while !tally.is_full() {
        let now = calls.next();
        let mut reservation = calls.admit(now);
        let granted = tally.count(|| calls.engine.top_up(&mut reservation, black_box(TOP_UP), now));
        assert_eq!(granted, TopUp::Granted, "no limit is near");
        calls.hold(reservation);
        calls.end(now);
    }
}

fn settle(tally: &mut Tally) {
    let mut calls = Calls::on(leaf(0));
    while !tally.is_full() {
        let now = calls.next();
        let reservation = calls.admit(now);
        calls.hold(reservation);
        if let Some(reservation) = calls.ending() {
            tally.count(|| calls.engine.settle(reservation, black_box(USED), now));
        }
    }
}

fn among_few(tally: &mut Tally) {
    let calls = Calls::on(sharing(leaf(0)));
    let _others = bind_crowd(&calls.engine, 10);
    whole_calls(tally, calls);
}

/// Half of the groups are in the caller's tree; the lines are its workspace's.
fn among_many(tally: &mut Tally) {
    let calls = Calls::on(sharing(leaf(0)));
    let _others = (bind_crowd(&calls.engine, 100_000), bind_lines(&calls.engine, 10_000));
    whole_calls(tally, calls);
}

fn whole_calls(tally: &mut Tally, mut calls: Calls) {
    while !tally.is_full() {
        let now = calls.next();
        tally.count(|| {
            let reservation = calls.admit(now);
            calls.hold(reservation);
            calls.end(now);
        });
    }
}

/// Calls on one path, one after the other.
struct Calls {
    engine: Engine,
    path: Arc<Path>,
    seen: Seen,
    in_flight: VecDeque<Reservation>,
    begun: u64,
}

impl Calls {
    fn on(spec: PathSpec) -> Self {
        let engine = Engine::new();
        let path = engine.bind(spec, at_ms(0));
        let in_flight = VecDeque::with_capacity(IN_FLIGHT + 1);
        Self { engine, path, seen: Seen::default(), in_flight, begun: 0 }
    }

    /// When the next call begins.
    fn next(&mut self) -> Now {
        self.begun += 1;
        at_ms(self.begun * STEP_MS)
    }

    fn admit(&mut self, now: Now) -> Reservation {
        admitted(self.engine.reserve(&self.path, black_box(ASK), now, Some(&mut self.seen)))
    }

    fn hold(&mut self, reservation: Reservation) {
        self.in_flight.push_back(reservation);
    }

    /// The oldest call, once there are so many.
    fn ending(&mut self) -> Option<Reservation> {
        if self.in_flight.len() > IN_FLIGHT { self.in_flight.pop_front() } else { None }
    }

    fn end(&mut self, now: Now) {
        if let Some(reservation) = self.ending() {
            self.engine.settle(reservation, black_box(USED), now);
        }
    }
}

fn admitted(decision: Decision) -> Reservation {
    match decision {
        Decision::Admitted(admission) => admission.reservation,
        Decision::Refused(_) | Decision::Stale => unreachable!("no limit is near, and nothing is edited"),
    }
}

fn at_ms(ms: u64) -> Now {
    Now { mono_ns: ms * 1_000_000, wall_ms: 1_780_000_000_000 + ms }
}
