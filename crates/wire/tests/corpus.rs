//! What the fuzzers found worth keeping, run as ordinary tests: `fuzz/corpus`.

#![cfg(test)]

use std::fs;
use std::path::Path;

#[path = "../../../fuzz/checks/bodies.rs"]
mod bodies;
#[path = "../../../fuzz/checks/events.rs"]
mod events;

/// Runs a check on every file of a corpus.
fn all(corpus: &str, check: fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(corpus);
    let files: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 10, "{} has its files", dir.display());
    for file in files {
        check(&fs::read(&file).unwrap());
    }
}

#[test]
fn every_body_of_the_corpus_keeps_its_promises() {
    all("bodies", bodies::check);
}

#[test]
fn every_stream_of_the_corpus_keeps_its_promises() {
    all("events", events::check);
}
