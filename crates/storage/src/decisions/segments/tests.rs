use tempfile::TempDir;

use super::*;
use crate::decisions::recorded::DecisionFacts;

const BOUND: u64 = 64 * 1024;

fn refusal(nth: u64) -> Recorded {
    Recorded { facts: DecisionFacts::refused(nth), states: Vec::new() }
}

fn append(segments: &mut Segments, nth: u64) -> io::Result<()> {
    segments.append(&line::write(&refusal(nth)).unwrap())
}

fn is_found(dir: &TempDir, nth: u64) -> bool {
    find(dir.path(), refusal(nth).facts.request_id, WorkspaceId(1)).is_some()
}

fn bytes(dir: &TempDir) -> u64 {
    found(dir.path()).unwrap().iter().map(|segment| segment.len).sum()
}

fn newest(dir: &TempDir) -> PathBuf {
    found(dir.path()).unwrap().pop().unwrap().path
}

#[test]
fn the_files_together_are_never_longer_than_the_bound_and_lose_the_oldest_first() {
    let dir = TempDir::new().unwrap();
    let mut segments = Segments::open(dir.path(), BOUND).unwrap();
    let fit = BOUND / len_of(&line::write(&refusal(0)).unwrap());
    for nth in 0..3 * fit {
        append(&mut segments, nth).unwrap();
        assert!(bytes(&dir) <= BOUND && found(dir.path()).unwrap().len() <= 8, "after {nth}");
    }
    let kept = (0..3 * fit).filter(|nth| is_found(&dir, *nth)).collect::<Vec<_>>();
    let first = kept[0];
    assert_eq!(kept, (first..3 * fit).collect::<Vec<_>>(), "what is kept is the newest, without a gap");
    assert!(first <= 3 * fit - fit * 6 / 8, "at least six of eight parts of the room are used: from {first}");
}

#[test]
fn many_short_lives_go_on_with_the_same_segment() {
    let dir = TempDir::new().unwrap();
    for nth in 0..20 {
        append(&mut Segments::open(dir.path(), BOUND).unwrap(), nth).unwrap();
    }
    assert_eq!(found(dir.path()).unwrap().len(), 1);
    assert!((0..20).all(|nth| is_found(&dir, nth)));
}

#[test]
fn a_line_that_a_crash_tore_is_passed_over_and_the_next_one_is_whole() {
    let dir = TempDir::new().unwrap();
    append(&mut Segments::open(dir.path(), BOUND).unwrap(), 1).unwrap();
    let torn = line::write(&refusal(2)).unwrap();
    for cut in [1, 20, torn.len() / 2, torn.len() - 2] {
        let mut last = OpenOptions::new().append(true).open(newest(&dir)).unwrap();
        last.write_all(&torn[..cut]).unwrap();
        append(&mut Segments::open(dir.path(), BOUND).unwrap(), 3).unwrap();
        assert!(is_found(&dir, 1) && is_found(&dir, 3) && !is_found(&dir, 2), "cut at {cut}");
        let text = fs::read_to_string(newest(&dir)).unwrap();
        assert!(text.ends_with('\n') && !text.contains("\n\n"), "cut at {cut}: {text}");
    }
}

#[test]
fn a_line_break_that_a_crash_cut_off_loses_nothing() {
    let dir = TempDir::new().unwrap();
    append(&mut Segments::open(dir.path(), BOUND).unwrap(), 1).unwrap();
    let len = bytes(&dir) - 1;
    OpenOptions::new().write(true).open(newest(&dir)).unwrap().set_len(len).unwrap();
    append(&mut Segments::open(dir.path(), BOUND).unwrap(), 2).unwrap();
    assert!(is_found(&dir, 1) && is_found(&dir, 2));
}

#[test]
fn a_segment_full_of_anything_else_costs_no_more_than_itself() {
    let dir = TempDir::new().unwrap();
    append(&mut Segments::open(dir.path(), BOUND).unwrap(), 1).unwrap();
    let garbage: Vec<u8> = (0..BOUND / 8 - 1).map(|at| u8::try_from(at % 251).unwrap() | 0x80).collect();
    fs::write(dir.path().join("00000002.jsonl"), &garbage).unwrap();
    fs::write(
        dir.path().join("00000003.jsonl"),
        [line::beginning(refusal(2).facts.request_id), garbage].concat(),
    )
    .unwrap();
    fs::create_dir(dir.path().join("00000000.jsonl")).unwrap();
    fs::write(dir.path().join("notes.txt"), "not ours").unwrap();
    append(&mut Segments::open(dir.path(), BOUND).unwrap(), 5).unwrap();
    assert!(is_found(&dir, 1) && is_found(&dir, 5) && !is_found(&dir, 2));
    assert!(dir.path().join("notes.txt").exists());
}

#[test]
fn a_bound_that_was_lowered_holds_from_the_start_and_while_writing() {
    let dir = TempDir::new().unwrap();
    let mut segments = Segments::open(dir.path(), BOUND).unwrap();
    (0..400).for_each(|nth| append(&mut segments, nth).unwrap());
    assert!(bytes(&dir) > BOUND / 2);
    let mut segments = Segments::open(dir.path(), BOUND / 2).unwrap();
    assert!(bytes(&dir) <= BOUND / 2 && is_found(&dir, 399));
    for nth in 400..800 {
        append(&mut segments, nth).unwrap();
        assert!(bytes(&dir) <= BOUND / 2, "after {nth}");
    }
    Segments::open(dir.path(), 0).unwrap();
    assert_eq!(found(dir.path()).unwrap().len(), 0, "none may be there, so none is");
}

#[test]
fn what_the_disk_refuses_is_lost_and_what_comes_later_is_written() {
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("decisions");
    let mut segments = Segments::open(&folder, BOUND).unwrap();
    fs::write(&folder, "in the way").unwrap();
    assert!(append(&mut segments, 1).is_err());
    fs::remove_file(&folder).unwrap();
    append(&mut segments, 2).unwrap();
    assert!(find(&folder, refusal(2).facts.request_id, WorkspaceId(1)).is_some());
    let too_long = vec![b'x'; usize::try_from(BOUND).unwrap()];
    assert!(segments.append(&too_long).is_err());
    append(&mut segments, 3).unwrap();
    assert!(find(&folder, refusal(3).facts.request_id, WorkspaceId(1)).is_some());
}
