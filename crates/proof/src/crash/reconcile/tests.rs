use super::{Booked, CallId, Fact, Seen, Served, Source, reconcile};
use crate::crash::verdict::{Promise, Verdict};

const SERVED: Served = Served { input: 10, output: 20 };

fn fact(number: u64, seen: Seen) -> Fact {
    let served = matches!(seen, Seen::Whole | Seen::Part).then_some(SERVED);
    let id = (seen == Seen::Whole).then_some(CallId(u128::from(number)));
    Fact { number, id, seen, served, declared: Some(30), torn: false }
}

fn line(number: u64, source: Source) -> Booked {
    let output = if source == Source::Held { 30 } else { 20 };
    let outcome = if source == Source::Held { "recovered" } else { "completed" }.to_owned();
    Booked { id: CallId(u128::from(number)), number: Some(number), input: 10, output, outcome, source }
}

fn judged(facts: &[Fact], lines: &[Booked]) -> Verdict {
    let mut verdict = Verdict::default();
    reconcile(facts, lines, &mut verdict);
    verdict
}

/// That this alone is found, once.
fn finds(promise: Promise, facts: &[Fact], lines: &[Booked]) {
    let verdict = judged(facts, lines);
    let all = [Promise::Acknowledged, Promise::Served, Promise::Own, Promise::Refused, Promise::Recovered];
    for other in all {
        assert_eq!(verdict.breaks(other), u64::from(other == promise), "{other:?}: {verdict}");
    }
}

#[test]
fn a_ledger_that_says_what_server_and_callers_say_holds() {
    let facts = [
        fact(1, Seen::Whole),
        fact(2, Seen::Part),
        fact(3, Seen::Refused(429)),
        Fact { served: None, ..fact(4, Seen::Part) },
        Fact { served: None, ..fact(5, Seen::Part) },
        fact(6, Seen::Part),
    ];
    let lines =
        [line(1, Source::Told), line(2, Source::Held), line(4, Source::Held), line(6, Source::Counted)];
    let verdict = judged(&facts, &lines);
    assert!(verdict.holds(), "{verdict}");
    assert_eq!(verdict.count(Promise::Own), 4);
    assert_eq!(verdict.count(Promise::Recovered), 2);
}

#[test]
fn a_lost_call_is_found() {
    finds(Promise::Acknowledged, &[fact(1, Seen::Whole)], &[]);
    finds(Promise::Served, &[fact(1, Seen::Part)], &[]);
}

#[test]
fn a_call_that_is_there_twice_is_found() {
    let second = Booked { id: CallId(99), ..line(1, Source::Told) };
    finds(Promise::Own, &[Fact { id: None, ..fact(1, Seen::Whole) }], &[line(1, Source::Told), second]);
}

#[test]
fn a_line_that_nobody_sent_is_found() {
    let nameless = Booked { number: None, ..line(7, Source::Told) };
    finds(Promise::Own, &[fact(1, Seen::Whole)], &[line(1, Source::Told), nameless]);
    finds(Promise::Own, &[], &[line(1, Source::Told)]);
}

#[test]
fn a_wrong_count_of_tokens_is_found() {
    let wrong = Booked { output: 19, ..line(1, Source::Told) };
    finds(Promise::Acknowledged, &[fact(1, Seen::Whole)], std::slice::from_ref(&wrong));
    finds(Promise::Served, &[fact(1, Seen::Part)], &[wrong]);
}

#[test]
fn a_call_of_which_no_byte_came_back_may_have_cost_nothing_and_nothing_else() {
    let free = Booked { input: 0, output: 0, outcome: "not_reached".to_owned(), ..line(1, Source::Told) };
    assert_eq!(judged(&[fact(1, Seen::Part)], std::slice::from_ref(&free)).breaks(Promise::Served), 0);
    finds(Promise::Served, &[fact(1, Seen::Part)], &[Booked { input: 1, ..free.clone() }]);
    finds(Promise::Acknowledged, &[fact(1, Seen::Whole)], &[free]);
}

#[test]
fn a_call_whose_end_was_seen_is_not_to_be_recovered() {
    finds(Promise::Acknowledged, &[fact(1, Seen::Whole)], &[line(1, Source::Held)]);
}

#[test]
fn a_recovered_call_at_less_than_it_used_is_found_where_it_said_how_much_it_might_be() {
    let short = Booked { output: 19, ..line(1, Source::Held) };
    finds(Promise::Recovered, &[fact(1, Seen::Part)], std::slice::from_ref(&short));
    let undeclared = Fact { declared: None, ..fact(1, Seen::Part) };
    assert_eq!(judged(&[undeclared], &[short]).breaks(Promise::Recovered), 0);
}

#[test]
fn a_refused_call_in_the_ledger_is_found() {
    finds(
        Promise::Refused,
        &[fact(1, Seen::Refused(429))],
        &[Booked { source: Source::Counted, ..line(1, Source::Told) }],
    );
}

#[test]
fn another_id_than_its_caller_was_told_is_found() {
    finds(Promise::Own, &[Fact { id: Some(CallId(2)), ..fact(1, Seen::Whole) }], &[line(1, Source::Told)]);
}

#[test]
fn what_was_torn_off_may_be_missing_or_recovered_but_never_there_twice() {
    let torn = Fact { torn: true, ..fact(1, Seen::Whole) };
    for lines in [vec![], vec![line(1, Source::Held)]] {
        let verdict = judged(std::slice::from_ref(&torn), &lines);
        assert_eq!(verdict.breaks(Promise::Acknowledged) + verdict.breaks(Promise::Served), 0, "{verdict}");
    }
    let torn = Fact { id: None, ..torn };
    finds(Promise::Own, &[torn], &[line(1, Source::Held), Booked { id: CallId(5), ..line(1, Source::Held) }]);
}
