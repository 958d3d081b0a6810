//! What the fuzzers found worth keeping, run as ordinary tests: `fuzz/corpus`.

#![cfg(test)]

use std::fs;
use std::path::Path;

#[path = "../../../fuzz/checks/answers.rs"]
mod answers;

#[test]
fn every_answer_of_the_corpus_keeps_its_promises() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/answers");
    let files: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 10, "{} has its files", dir.display());
    for file in files {
        answers::check(&fs::read(&file).unwrap());
    }
}
