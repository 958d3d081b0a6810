//! A journal whose last bytes never came to the disk: cut off, or zeros.
//!
//! Of the format it knows only that segments are `*.seg` files, that what is not written yet is zeros, and that a record
//! has some length at least, so that so many bytes can hold so many records at most.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::reconcile::{Booked, CallId, Source};
use super::verdict::{Promise, Verdict};
use crate::chance::Chance;

/// Where segments are, below the data directory.
const JOURNAL: &str = "journal";
/// A segment that holds no more has but its header.
const HEADER_MAX: u64 = 512;
/// No record is shorter.
const RECORD_MIN: u64 = 16;
/// Torn off at once, at most.
const TORN_MAX: u64 = 2_000;

/// Tears the end off the segment that was written last, and now and then of another. How many bytes; 0: there are none.
///
/// # Errors
/// A disk that refuses.
pub fn tear(data: &Path, chance: &mut Chance) -> std::io::Result<u64> {
    let mut segments = segments(&data.join(JOURNAL))?;
    let mut torn = 0;
    while let Some((_, (path, end))) = segments.pop_last() {
        if end > HEADER_MAX {
            torn += tear_one(&path, end, chance)?;
            if chance.percent(60) {
                break;
            }
        }
        // Of a third one written at about the same time nothing is torn: it would be another accident.
        if segments.len() < 2 {
            break;
        }
    }
    Ok(torn)
}

/// Where the written part of each segment ends, by the time when it was written last.
fn segments(journal: &Path) -> std::io::Result<BTreeMap<(SystemTime, PathBuf), (PathBuf, u64)>> {
    let mut segments = BTreeMap::new();
    for entry in fs::read_dir(journal)? {
        let entry = entry?;
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "seg") {
            let end = end(&path)?;
            segments.insert((entry.metadata()?.modified()?, path.clone()), (path, end));
        }
    }
    Ok(segments)
}

/// Behind the last byte that is not zero.
fn end(path: &Path) -> std::io::Result<u64> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.read_to_end(&mut bytes)?;
    let last = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    Ok(u64::try_from(last).unwrap_or(u64::MAX))
}

fn tear_one(path: &Path, end: u64, chance: &mut Chance) -> std::io::Result<u64> {
    let torn = chance.log_between(1, TORN_MAX).min(end - HEADER_MAX);
    let mut file = OpenOptions::new().write(true).open(path)?;
    let length = file.metadata()?.len();
    if chance.percent(50) {
        file.set_len(end - torn)?;
        // As long as it was, or short.
        if chance.percent(50) {
            file.set_len(length)?;
        }
    } else {
        file.seek(SeekFrom::Start(end - torn))?;
        file.write_all(&vec![0; usize::try_from(torn).unwrap_or(0)])?;
    }
    Ok(torn)
}

/// Compares the ledger before and after so many bytes were torn off. The calls that may have lost a record.
pub fn compare(whole: &[Booked], left: &[Booked], torn: u64, verdict: &mut Verdict) -> Vec<u64> {
    let after: BTreeMap<CallId, &Booked> = left.iter().map(|line| (line.id, line)).collect();
    let before: BTreeMap<CallId, &Booked> = whole.iter().map(|line| (line.id, line)).collect();
    let lost = whole.iter().filter(|line| after.get(&line.id).is_none_or(|left| *left != *line));
    let lost: Vec<&Booked> = lost.collect();
    let most = torn.div_ceil(RECORD_MIN).saturating_add(2);
    if u64::try_from(lost.len()).unwrap_or(u64::MAX) > most {
        let text = format!("{torn} bytes torn off, and {} lines are not what they were", lost.len());
        verdict.broken(Promise::Torn, format!("{torn} {}", lost.len()), text);
    }
    for line in left {
        let told = format!("{line:?} where there was {:?}", before.get(&line.id));
        match before.get(&line.id) {
            // Its settlement was torn off.
            Some(whole) if *whole == line || line.source == Source::Held => {}
            // A call that had been given up, whose end was torn off.
            None if line.source == Source::Held => {}
            _ => verdict.broken(Promise::Torn, format!("{:?}", line.id), told),
        }
    }
    verdict.checked(Promise::Torn, 1);
    lost.iter().filter_map(|line| line.number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: u64, source: Source) -> Booked {
        Booked {
            id: CallId(u128::from(id)),
            number: Some(id),
            input: 1,
            output: 2,
            outcome: "completed".to_owned(),
            source,
        }
    }

    fn breaks(whole: &[Booked], left: &[Booked], torn: u64) -> (u64, Vec<u64>) {
        let mut verdict = Verdict::default();
        let lost = compare(whole, left, torn, &mut verdict);
        (verdict.breaks(Promise::Torn), lost)
    }

    #[test]
    fn what_is_torn_off_may_be_missing_or_recovered_and_nothing_else_may_change() {
        let whole = [line(1, Source::Told), line(2, Source::Told), line(3, Source::Told)];
        let held = line(2, Source::Held);
        assert_eq!(breaks(&whole, &[whole[0].clone(), held], 20), (0, vec![2, 3]));
        let changed = Booked { output: 9, ..whole[0].clone() };
        assert_eq!(breaks(&whole, &[changed, whole[1].clone(), whole[2].clone()], 20).0, 1);
        let new = line(4, Source::Told);
        assert_eq!(breaks(&whole[..1], &[whole[0].clone(), new], 20).0, 1);
    }

    #[test]
    fn more_lines_lost_than_can_have_stood_in_the_torn_bytes_is_found() {
        let whole: Vec<Booked> = (1..=9).map(|id| line(id, Source::Told)).collect();
        assert_eq!(breaks(&whole, &[], 9 * RECORD_MIN).0, 0);
        assert_eq!(breaks(&whole, &[], RECORD_MIN).0, 1);
    }

    #[test]
    fn the_end_of_what_was_written_last_is_torn_off_and_its_head_never() {
        let data = tempfile::TempDir::new().unwrap();
        let journal = data.path().join(JOURNAL);
        fs::create_dir(&journal).unwrap();
        assert_eq!(tear(data.path(), &mut Chance::new(1)).unwrap(), 0, "there is no segment");
        let path = journal.join("0-1.seg");
        for seed in 0..50 {
            let written = [vec![7; 4_000], vec![0; 4_000]].concat();
            fs::write(&path, &written).unwrap();
            let torn = usize::try_from(tear(data.path(), &mut Chance::new(seed)).unwrap()).unwrap();
            assert!((1..=2_000).contains(&torn), "{torn}");
            let left = fs::read(&path).unwrap();
            assert_eq!(left[..4_000 - torn], written[..4_000 - torn]);
            assert!(left[4_000 - torn..].iter().all(|byte| *byte == 0));
        }
    }
}
