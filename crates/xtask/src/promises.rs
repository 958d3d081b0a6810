//! The numbered promises of `docs/conformance.md` against the names of the tests: neither without the other.
//!
//! A test says which it proves: `case_073_…`, `case_073_076_…`, `case_073_to_075_…`; one of Bifrost's, whose numbers
//! stand behind a B in the list, `bifrost_case_08_…`.

use std::collections::BTreeSet;
use std::fs;

use anyhow::Context as _;

use crate::steps::root;
use crate::tidy::{crate_dirs, rust_files};

const LIST: &str = "docs/conformance.md";

/// A published contract whose cases are numbered.
#[derive(Debug, Clone, Copy)]
struct Contract {
    /// What stands before its numbers in the list.
    letter: &'static str,
    /// How the names of its tests begin.
    mark: &'static str,
}

const CONTRACTS: [Contract; 2] =
    [Contract { letter: "", mark: "fn case_" }, Contract { letter: "B", mark: "fn bifrost_case_" }];

/// Every number that stands on one side only, in words.
pub(crate) fn broken() -> anyhow::Result<Vec<String>> {
    let mut broken = Vec::new();
    for contract in CONTRACTS {
        let (promised, proven, letter) = (promised(contract)?, proven(contract)?, contract.letter);
        let unproven = promised.difference(&proven);
        broken.extend(unproven.map(|case| format!("case {letter}{case}: {LIST} promises it, no test does")));
        let unlisted = proven.difference(&promised);
        broken.extend(
            unlisted.map(|case| format!("case {letter}{case}: a test proves it, {LIST} does not list it")),
        );
    }
    Ok(broken)
}

/// The numbers in the first columns of the tables: `73`, `73, 74`, `73–75`; of a contract with a letter `B8, B9–B11`.
fn promised(Contract { letter, .. }: Contract) -> anyhow::Result<BTreeSet<u32>> {
    let text = fs::read_to_string(root().join(LIST)).context(LIST)?;
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.split('|').next());
    let parts = rows.flat_map(|column| column.split(','));
    Ok(parts
        .flat_map(|part| span(part.split('–').map(|end| end.trim().strip_prefix(letter).unwrap_or(""))))
        .collect())
}

/// The numbers in the names of tests.
fn proven(Contract { mark, .. }: Contract) -> anyhow::Result<BTreeSet<u32>> {
    let mut proven = BTreeSet::new();
    for crate_dir in crate_dirs()? {
        let tests = crate_dir.join("tests");
        let files = if tests.is_dir() { rust_files(&tests)? } else { Vec::new() };
        for file in files {
            let text = fs::read_to_string(&file)?;
            proven.extend(text.split(mark).skip(1).flat_map(named));
        }
    }
    Ok(proven)
}

/// The numbers with which a name begins.
fn named(name: &str) -> BTreeSet<u32> {
    let mut numbers = BTreeSet::new();
    let mut words = name.split('_').peekable();
    while let Some(Ok(number)) = words.next().map(str::parse::<u32>) {
        numbers.insert(number);
        if words.next_if_eq(&"to").is_some() {
            let last = words.next().and_then(|word| word.parse().ok()).unwrap_or(number);
            numbers.extend(number..=last);
        }
    }
    numbers
}

fn span<'a>(mut ends: impl Iterator<Item = &'a str>) -> BTreeSet<u32> {
    let mut end = || ends.next().and_then(|end| end.trim().parse().ok());
    end().map(|first| (first..=end().unwrap_or(first)).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_promise_has_a_test_and_every_numbered_test_a_promise() {
        assert_eq!(broken().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn names_and_rows_are_read_in_all_their_forms() {
        let numbers = |numbers: &[u32]| numbers.iter().copied().collect::<BTreeSet<u32>>();
        assert_eq!(named("073_a_child_of_70"), numbers(&[73]));
        assert_eq!(named("019_to_021_026_types"), numbers(&[19, 20, 21, 26]));
        assert_eq!(named("names"), numbers(&[]));
        assert_eq!(span(" 166–168 ".split('–')), numbers(&[166, 167, 168]));
        assert_eq!(span(" # ".split('–')), numbers(&[]));
        assert_eq!(span(["8", "11"].into_iter()), numbers(&[8, 9, 10, 11]));
    }
}
