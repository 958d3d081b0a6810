//! When each management key was last used: kept in memory, written now and then.
//!
//! Guarantees: noting a use costs no write; all keys together are written at most once in [`WRITE_EVERY_S`], and when
//! the store closes. A crash loses what was noted since the last write, and nothing that matters.
//! Bounded by the number of management keys: only those in force are noted, and a deleted one is forgotten.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::KeyHash;

/// Seconds between two writes.
const WRITE_EVERY_S: u64 = 60;

#[derive(Debug, Default)]
pub(crate) struct LastUsed(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    keys: HashMap<KeyHash, Use>,
    /// When the last write was asked for.
    asked_s: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Use {
    at_s: u64,
    is_written: bool,
}

impl LastUsed {
    /// What is on disk.
    pub(crate) fn load(keys: impl IntoIterator<Item = (KeyHash, u64)>) -> Self {
        let keys = keys.into_iter().map(|(hash, at_s)| (hash, Use { at_s, is_written: true })).collect();
        Self(Mutex::new(Noted { keys, asked_s: None }))
    }

    /// Notes a use. Answers whether it is time to write.
    pub(crate) fn note(&self, hash: KeyHash, now_s: u64) -> bool {
        let mut noted = self.lock();
        let known = noted.keys.get(&hash).is_some_and(|last| last.at_s >= now_s);
        if !known {
            noted.keys.insert(hash, Use { at_s: now_s, is_written: false });
        }
        let due = noted.asked_s.is_none_or(|asked_s| now_s.saturating_sub(asked_s) >= WRITE_EVERY_S);
        if due && !known {
            noted.asked_s = Some(now_s);
        }
        due && !known
    }

    /// When a key was last used, in seconds since 1970 UTC.
    pub(crate) fn at_s(&self, hash: &KeyHash) -> Option<u64> {
        self.lock().keys.get(hash).map(|last| last.at_s)
    }

    pub(crate) fn forget(&self, hash: &KeyHash) {
        self.lock().keys.remove(hash);
    }

    /// What is not on disk yet.
    pub(crate) fn unwritten(&self) -> Vec<(KeyHash, u64)> {
        let noted = self.lock();
        noted
            .keys
            .iter()
            .filter(|(_, last)| !last.is_written)
            .map(|(hash, last)| (*hash, last.at_s))
            .collect()
    }

    /// What is on disk now.
    pub(crate) fn written(&self, keys: &[(KeyHash, u64)]) {
        let mut noted = self.lock();
        for (hash, at_s) in keys {
            if let Some(last) = noted.keys.get_mut(hash) {
                last.is_written = last.at_s == *at_s;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: KeyHash = KeyHash([1; 32]);
    const OTHER: KeyHash = KeyHash([2; 32]);

    #[test]
    fn many_uses_ask_for_one_write_a_minute() {
        let used = LastUsed::default();
        let asked: Vec<u64> =
            (0..=120).filter(|now_s| used.note(KEY, *now_s) | used.note(OTHER, *now_s)).collect();
        assert_eq!(asked, [0, 60, 120]);
        assert_eq!(used.at_s(&KEY), Some(120));
    }

    #[test]
    fn a_use_that_came_while_another_was_written_is_written_later() {
        let used = LastUsed::default();
        used.note(KEY, 5);
        let batch = used.unwritten();
        used.note(KEY, 6);
        used.written(&batch);
        assert_eq!(used.unwritten(), [(KEY, 6)]);
        used.written(&used.unwritten());
        assert_eq!(used.unwritten(), []);
    }

    #[test]
    fn a_forgotten_key_was_never_used() {
        let used = LastUsed::load([(KEY, 5)]);
        assert_eq!(used.at_s(&KEY), Some(5));
        used.forget(&KEY);
        assert_eq!((used.at_s(&KEY), used.unwritten()), (None, vec![]));
    }
}
