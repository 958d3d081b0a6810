use super::*;

const FEW: &str = RATIOS[0].1;
const MANY: &str = RATIOS[0].0;

/// These instructions, each with ten allocations, and the two whose ratio is always looked at.
fn figures(instructions: &[(&str, u64)]) -> Figures {
    let all = [(FEW, 1_000), (MANY, 1_000)].into_iter().chain(instructions.iter().copied());
    let tool = |name: &str| format!("{name} 1");
    let tools = Tools { rustc: tool("rustc"), host: tool("host"), valgrind: tool("v"), libc: tool("libc") };
    let costs = all.map(|(name, number)| (name.to_owned(), cost(number, 10)));
    Figures { tools, costs: costs.collect() }
}

fn cost(instructions: u64, allocations: u64) -> Cost {
    Cost { instructions, allocations }
}

/// `a` of a thousand instructions, and so many allocations.
fn allocating(allocations: u64) -> Figures {
    let mut figures = figures(&[]);
    figures.costs.insert("a".to_owned(), cost(1_000, allocations));
    figures
}

fn failures(stored: &Figures, counted: &Figures) -> Vec<String> {
    Judgement::of(stored, counted).failures
}

#[test]
fn up_to_three_per_cent_more_is_let_pass_and_the_next_instruction_is_not() {
    let stored = figures(&[("a", 1_000)]);
    assert_eq!(failures(&stored, &figures(&[("a", 1_030)])), Vec::<String>::new());
    assert_eq!(failures(&stored, &figures(&[("a", 1_031)])).len(), 1);
}

#[test]
fn a_failure_says_what_rose_from_what_to_what_by_how_much_and_what_to_do() {
    let failures = failures(&figures(&[("a", 1_000), ("b", 7)]), &figures(&[("a", 1_042), ("b", 7)]));
    assert_eq!(failures.len(), 1, "{failures:?}");
    for said in
        ["a ", "1000 and   10 stored", "1042 and   10 counted", "+4.2 %", "cargo xtask instructions --renew"]
    {
        assert!(failures[0].contains(said), "{said} in {failures:?}");
    }
}

#[test]
fn one_allocation_more_is_a_failure_however_many_there_were() {
    for before in [0, 1, 1_000] {
        assert_eq!(failures(&allocating(before), &allocating(before)), Vec::<String>::new());
        assert_eq!(failures(&allocating(before), &allocating(before + 1)).len(), 1, "{before}");
    }
}

#[test]
fn one_allocation_less_passes_and_asks_to_be_kept() {
    let judgement = Judgement::of(&allocating(3), &allocating(2));
    assert_eq!(judgement.failures, Vec::<String>::new());
    assert!(judgement.lines.iter().any(|line| line.contains("costs less")));
}

#[test]
fn what_is_saved_in_instructions_pays_for_no_allocation() {
    let (stored, mut counted) = (allocating(2), allocating(3));
    counted.costs.insert("a".to_owned(), cost(500, 3));
    assert_eq!(failures(&stored, &counted).len(), 1);
}

#[test]
fn three_per_cent_less_passes_and_asks_to_be_kept() {
    let stored = figures(&[("a", 1_000)]);
    for (now, asks) in [(971, false), (970, true)] {
        let judgement = Judgement::of(&stored, &figures(&[("a", now)]));
        assert_eq!(judgement.failures, Vec::<String>::new());
        assert_eq!(judgement.lines.iter().any(|line| line.contains("--renew")), asks, "{now}");
    }
}

#[test]
fn a_figure_without_its_other_half_is_a_failure() {
    let (with, without) = (figures(&[("a", 1_000)]), figures(&[]));
    assert!(failures(&with, &without)[0].contains("not counted any more"));
    assert!(failures(&without, &with)[0].contains("not stored yet"));
}

#[test]
fn other_tools_are_named_and_have_more_room() {
    let (stored, mut counted) = (figures(&[("a", 1_000)]), figures(&[("a", 1_150)]));
    counted.tools.rustc = "rustc 2".to_owned();
    let judgement = Judgement::of(&stored, &counted);
    assert_eq!(judgement.failures, Vec::<String>::new());
    assert!(judgement.lines[0].contains("rustc 1") && judgement.lines[0].contains("rustc 2"));
    counted.costs.insert("a".to_owned(), cost(1_151, 10));
    assert_eq!(failures(&stored, &counted).len(), 1);
}

#[test]
fn figures_of_another_processor_are_compared_by_ratio_alone() {
    let (stored, mut counted) = (figures(&[("a", 1_000)]), figures(&[("a", 9_000)]));
    counted.tools.host = "another".to_owned();
    assert_eq!(failures(&stored, &counted), Vec::<String>::new());
    counted.costs.insert(MANY.to_owned(), cost(1_101, 10));
    assert_eq!(failures(&stored, &counted).len(), 1);
}

#[test]
fn a_hundred_thousand_groups_may_cost_a_tenth_more_than_ten_whatever_is_stored() {
    for (many, broken) in [(1_100, false), (1_101, true)] {
        let figures = figures(&[(MANY, many)]);
        assert_eq!(failures(&figures, &figures).len(), usize::from(broken), "{many}");
    }
}

#[test]
fn a_ratio_that_cannot_be_told_is_a_failure() {
    let mut both = figures(&[]);
    both.costs.remove(MANY);
    assert!(failures(&both, &both)[0].contains("not counted"));
}

#[test]
fn what_is_written_is_read_again() {
    let figures = figures(&[("read, 250 bytes", 8_800)]);
    assert_eq!(Figures::parse(&figures.text()).unwrap(), figures);
}
