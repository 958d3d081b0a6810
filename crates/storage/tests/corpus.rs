//! What the fuzzers found worth keeping, run as ordinary tests: `fuzz/corpus`.

#![cfg(test)]

use std::fs;
use std::path::Path;

#[path = "../../../fuzz/checks/journal.rs"]
mod journal;

#[test]
fn every_segment_of_the_corpus_keeps_its_promises() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/journal");
    let files: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 6, "{} has its files", dir.display());
    for file in files {
        journal::check(&fs::read(&file).unwrap());
    }
}
