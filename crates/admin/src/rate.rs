//! How often one management key may use one route: so many requests in each second of the clock.
//!
//! Guarantees: a key and a route never slow another key or another route down. Nothing is remembered longer than its
//! second, so the memory is bounded by [`PAIRS_MAX`].
//! Knows nothing of: what is asked for; the clock's reading is an argument.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use domain::{KeyHash, Now};
use http::Method;

/// Pairs of key and route that are told apart within one second. One that finds no room is refused, as if it had used
/// up its own.
const PAIRS_MAX: usize = 16_384;

const SECOND_NS: u64 = 1_000_000_000;

/// What is counted separately.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Pair {
    key: KeyHash,
    /// One of ours, or none for all others together.
    method: Option<Method>,
    /// The template of the path, or nothing for paths that are not ours.
    route: Box<str>,
}

impl Pair {
    /// A method is any word that a caller likes. Those that no route takes are counted as one, or each would have a
    /// limit and a place of its own.
    pub(crate) fn new(key: KeyHash, method: &Method, route: &str) -> Self {
        let ours = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        Self { key, method: ours.into_iter().find(|ours| ours == method), route: route.into() }
    }
}

/// Come back after so many whole seconds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooOften {
    pub(crate) retry_after_s: u64,
}

#[derive(Debug)]
pub(crate) struct RateLimit {
    /// Requests in a second; 0 is no limit.
    per_second: u32,
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    second: u64,
    used: HashMap<Pair, u32>,
}

impl RateLimit {
    pub(crate) fn new(per_second: u32) -> Self {
        Self { per_second, window: Mutex::default() }
    }

    /// Counts a request, unless that would be one too many.
    pub(crate) fn admit(&self, pair: Pair, now: Now) -> Result<(), TooOften> {
        if self.per_second == 0 {
            return Ok(());
        }
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let second = now.mono_ns / SECOND_NS;
        if window.second != second {
            window.used.clear();
            window.second = second;
        }
        // A window is a second long, so it ends within one.
        let refused = Err(TooOften { retry_after_s: 1 });
        let is_full = window.used.len() >= PAIRS_MAX;
        match window.used.get_mut(&pair) {
            Some(used) if *used >= self.per_second => refused,
            Some(used) => {
                *used += 1;
                Ok(())
            }
            None if is_full => refused,
            None => {
                window.used.insert(pair, 1);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: u8, route: &str) -> Pair {
        Pair::new(KeyHash([key; 32]), &Method::GET, route)
    }

    fn at(mono_ns: u64) -> Now {
        Now { mono_ns, wall_ms: 0 }
    }

    #[test]
    fn a_key_has_so_many_requests_on_a_route_in_each_second() {
        let rate = RateLimit::new(2);
        let admitted = |key, route, ns| rate.admit(pair(key, route), at(ns)).is_ok();
        assert_eq!([0, 1, SECOND_NS - 1].map(|ns| admitted(1, "a", ns)), [true, true, false]);
        assert!(admitted(2, "a", 2) && admitted(1, "b", 2));
        assert_eq!([0, 1, 2].map(|ns| admitted(1, "a", SECOND_NS + ns)), [true, true, false]);
    }

    #[test]
    fn a_second_remembers_no_more_than_its_bound_and_the_next_one_nothing() {
        let rate = RateLimit::new(5);
        for n in 0..PAIRS_MAX {
            rate.admit(pair(1, &n.to_string()), at(0)).unwrap();
        }
        assert!(rate.admit(pair(1, "one more"), at(0)).is_err());
        assert!(rate.admit(pair(1, "0"), at(0)).is_ok());
        assert!(rate.admit(pair(1, "one more"), at(SECOND_NS)).is_ok());
        assert_eq!(rate.window.lock().unwrap().used.len(), 1);
    }

    #[test]
    fn zero_is_no_limit() {
        let rate = RateLimit::new(0);
        assert!((0..1_000).all(|_| rate.admit(pair(1, "a"), at(0)).is_ok()));
    }
}
