//! The model server's side: which script belongs to which call, and when the call arrived.
//!
//! A call carries a number in `x-session-affinity`, which gateways pass on. A request with a number that nobody is
//! waiting for is a stray: it was refused, or never made.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::request::Parts;
use modelsim::{Director, Receipt, Role, Script};

use crate::clock::SteppedClock;

/// The header that carries the number.
pub const NUMBER: &str = "x-session-affinity";
/// No arrival.
const NEVER: u64 = u64::MAX;
const SHARDS: usize = 16;

/// What is known of one call at the model server.
#[derive(Debug)]
pub struct Slip {
    number: u64,
    script: Script,
    receipt: Arc<Receipt>,
    arrived_us: AtomicU64,
}

/// The slips of all calls under way.
#[derive(Debug)]
pub struct Stage {
    clock: Arc<SteppedClock>,
    next: AtomicU64,
    strays: AtomicU64,
    slips: [Mutex<HashMap<u64, Arc<Slip>>>; SHARDS],
}

impl Slip {
    /// What the call carries.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// When it reached the model server, in microseconds of the run; `None`: never.
    #[must_use]
    pub fn arrived_us(&self) -> Option<u64> {
        Some(self.arrived_us.load(Ordering::Acquire)).filter(|us| *us != NEVER)
    }

    /// The model server's own count.
    #[must_use]
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// How the model server was told to behave.
    #[must_use]
    pub fn script(&self) -> &Script {
        &self.script
    }
}

impl Stage {
    /// Nothing is under way.
    #[must_use]
    pub fn new(clock: Arc<SteppedClock>) -> Self {
        Self { clock, next: AtomicU64::new(1), strays: AtomicU64::new(0), slips: Default::default() }
    }

    /// From now on a call with the slip's number behaves so.
    #[must_use]
    pub fn expect(&self, script: Script) -> Arc<Slip> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let slip =
            Arc::new(Slip { number, script, receipt: Arc::default(), arrived_us: AtomicU64::new(NEVER) });
        self.with(number, |slips| slips.insert(number, Arc::clone(&slip)));
        slip
    }

    /// From now on nobody waits for it.
    pub fn forget(&self, slip: &Slip) {
        self.with(slip.number, |slips| slips.remove(&slip.number));
    }

    /// Requests that reached the model server and should not have.
    #[must_use]
    pub fn strays(&self) -> u64 {
        self.strays.load(Ordering::Acquire)
    }

    fn with<T>(&self, number: u64, act: impl FnOnce(&mut HashMap<u64, Arc<Slip>>) -> T) -> T {
        let shard = usize::try_from(number).unwrap_or(0) % SHARDS;
        act(&mut self.slips[shard].lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Director for Stage {
    fn cast(&self, head: &Parts) -> Option<Role> {
        let number = head.headers.get(NUMBER).and_then(|value| value.to_str().ok()?.parse().ok());
        let slip = number.and_then(|number| self.with(number, |slips| slips.get(&number).cloned()));
        let Some(slip) = slip else {
            self.strays.fetch_add(1, Ordering::AcqRel);
            return None;
        };
        slip.arrived_us.fetch_min(self.clock.us(), Ordering::AcqRel);
        Some(Role { script: slip.script.clone(), receipt: Arc::clone(&slip.receipt) })
    }
}
