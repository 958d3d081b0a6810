use domain::{Usage, UsageSource};
use serde_json::value::RawValue;

use super::{Counts, Names, ReportedInput, read_usage};

fn read(json: &str) -> Option<(u64, u64, u64)> {
    numbers(read_usage(&raw(json), &Names::COMPLETIONS)?)
}

fn read_responses(json: &str) -> Option<(u64, u64, u64)> {
    numbers(read_usage(&raw(json), &Names::RESPONSES)?)
}

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "callers compare options")]
fn numbers(usage: Usage) -> Option<(u64, u64, u64)> {
    let Usage { input, output, cached, cache_written, source } = usage;
    assert_eq!(source, UsageSource::Reported);
    assert!(cached + cache_written <= input, "both are part of the prompt: {usage:?}");
    Some((input, output, cached))
}

/// Of the prompt: all of it, what was read from the cache, what was written to it.
fn prompt(usage: Usage) -> Option<(u64, u64, u64)> {
    numbers(usage)?;
    Some((usage.input, usage.cached, usage.cache_written))
}

#[test]
fn counts_are_read_and_the_total_is_not_needed() {
    assert_eq!(read(r#"{"prompt_tokens":10,"completion_tokens":9,"total_tokens":19}"#), Some((10, 9, 0)));
}

#[test]
fn what_a_total_has_over_the_prompt_is_output() {
    let told =
        |total: &str| format!(r#"{{"prompt_tokens":32,"completion_tokens":9,"total_tokens":{total}}}"#);
    for (total, output) in
        [("135", 103), ("41", 9), ("0", 9), ("null", 9), ("-1", 9), ("\"x\"", 9), ("20", 9)]
    {
        assert_eq!(read(&told(total)), Some((32, output, 0)), "{total}");
    }
    assert_eq!(read(&told("1099511627777")), Some((32, 9, 0)), "too much to be believed");
    let embedded = raw(r#"{"prompt_tokens":5,"total_tokens":9}"#);
    assert_eq!(numbers(read_usage(&embedded, &Names::EMBEDDINGS).unwrap()), Some((5, 0, 0)));
}

#[test]
fn what_was_sampled_besides_the_answer_is_in_the_iterations_alone_and_counts() {
    let read = |json: &str| Counts::read(&raw(json)).and_then(|counts| counts.usage()).and_then(numbers);
    let listed = r#"{"input_tokens":23000,"output_tokens":1000,"cache_read_input_tokens":5,"iterations":[
        {"type":"compaction","input_tokens":180000,"output_tokens":3500},
        {"type":"message","input_tokens":23000,"output_tokens":1000,"cache_read_input_tokens":5}]}"#;
    assert_eq!(read(listed), Some((203_005, 4_500, 5)));
    for odd in ["null", "[]", "{}", "7", "[1]"] {
        let json = format!(r#"{{"input_tokens":2,"output_tokens":1,"iterations":{odd}}}"#);
        assert_eq!(read(&json), Some((2, 1, 0)), "{odd}");
    }
    for nonsense in [r#"{"input_tokens":-1}"#, r#"{"input_tokens":1099511627776},{"input_tokens":1}"#] {
        let json = format!(r#"{{"input_tokens":2,"output_tokens":1,"iterations":[{nonsense}]}}"#);
        assert_eq!(read(&json), None, "{nonsense}");
    }
}

#[test]
fn an_explicit_nought_is_nought() {
    assert_eq!(read(r#"{"prompt_tokens":0,"completion_tokens":0}"#), Some((0, 0, 0)));
}

#[test]
fn cached_tokens_are_optional_at_every_level() {
    for (details, cached) in [
        ("null", 0),
        ("{}", 0),
        ("[]", 0),
        (r#"{"cached_tokens":null}"#, 0),
        (r#"{"cached_tokens":4,"audio_tokens":0}"#, 4),
        (r#"{"cached_tokens":99}"#, 10),
    ] {
        let json =
            format!(r#"{{"prompt_tokens":10,"completion_tokens":9,"prompt_tokens_details":{details}}}"#);
        assert_eq!(read(&json), Some((10, 9, cached)), "{details}");
    }
}

#[test]
fn tokens_written_to_the_cache_are_a_part_of_the_prompt_that_was_not_read_from_it() {
    for (details, told) in [
        (r#"{"cached_tokens":4,"cache_write_tokens":5}"#, Some((10, 4, 5))),
        (r#"{"cache_write_tokens":10}"#, Some((10, 0, 10))),
        (r#"{"cached_tokens":4,"cache_write_tokens":null}"#, Some((10, 4, 0))),
        (r#"{"cached_tokens":4,"cache_write_tokens":99}"#, Some((10, 4, 6))),
        (r#"{"cached_tokens":99,"cache_write_tokens":99}"#, Some((10, 10, 0))),
        (r#"{"cached_tokens":4,"cache_write_tokens":-1}"#, None),
        (r#"{"cached_tokens":4,"cache_write_tokens":"5"}"#, None),
    ] {
        let chat =
            format!(r#"{{"prompt_tokens":10,"completion_tokens":9,"prompt_tokens_details":{details}}}"#);
        assert_eq!(read_usage(&raw(&chat), &Names::COMPLETIONS).and_then(prompt), told, "{details}");
        let response = format!(r#"{{"input_tokens":10,"output_tokens":9,"input_tokens_details":{details}}}"#);
        assert_eq!(read_usage(&raw(&response), &Names::RESPONSES).and_then(prompt), told, "{details}");
    }
}

#[test]
fn nonsense_is_no_usage() {
    for json in [
        "{}",
        "[]",
        "\"x\"",
        r#"{"prompt_tokens":10}"#,
        r#"{"prompt_tokens":10,"completion_tokens":null}"#,
        r#"{"prompt_tokens":-1,"completion_tokens":9}"#,
        r#"{"prompt_tokens":1.5,"completion_tokens":9}"#,
        r#"{"prompt_tokens":"10","completion_tokens":9}"#,
        r#"{"prompt_tokens":1099511627777,"completion_tokens":9}"#,
        r#"{"prompt_tokens":1,"completion_tokens":99999999999999999999999}"#,
        r#"{"prompt_tokens":1,"completion_tokens":9,"prompt_tokens_details":{"cached_tokens":-4}}"#,
    ] {
        assert_eq!(read(json), None, "{json}");
    }
}

#[test]
fn the_largest_believable_number_is_believed() {
    let json = r#"{"prompt_tokens":1099511627776,"completion_tokens":1}"#;
    assert_eq!(read(json), Some((1 << 40, 1, 0)));
}

#[test]
fn embeddings_generate_nothing_and_need_not_say_so() {
    for json in [
        r#"{"prompt_tokens":8,"total_tokens":8}"#,
        r#"{"prompt_tokens":8,"completion_tokens":null}"#,
        r#"{"prompt_tokens":8,"completion_tokens":0,"prompt_tokens_details":null}"#,
    ] {
        assert_eq!(numbers(read_usage(&raw(json), &Names::EMBEDDINGS).unwrap()), Some((8, 0, 0)), "{json}");
    }
    assert_eq!(read_usage(&raw(r#"{"prompt_tokens":8,"completion_tokens":-1}"#), &Names::EMBEDDINGS), None);
    assert_eq!(read_usage(&raw(r#"{"total_tokens":8}"#), &Names::EMBEDDINGS), None);
}

#[test]
fn responses_have_names_of_their_own() {
    let details =
        r#""input_tokens_details":{"cached_tokens":4},"output_tokens_details":{"reasoning_tokens":2}"#;
    let json = format!(r#"{{"input_tokens":10,"output_tokens":9,"total_tokens":19,{details}}}"#);
    assert_eq!(read_responses(&json), Some((10, 9, 4)));
    assert_eq!(read_responses(r#"{"input_tokens":10,"output_tokens":0}"#), Some((10, 0, 0)));
    assert_eq!(read_responses(r#"{"prompt_tokens":10,"completion_tokens":0}"#), None);
}

#[track_caller]
fn counts(json: &str) -> Counts {
    Counts::read(&raw(json)).unwrap()
}

#[test]
fn the_cache_is_part_of_anthropics_prompt() {
    for (json, told) in [
        (r#"{"input_tokens":10,"output_tokens":9}"#, Some((10, 9, 0))),
        (
            r#"{"input_tokens":10,"cache_creation_input_tokens":200,"cache_read_input_tokens":3000,"output_tokens":9}"#,
            Some((3210, 9, 3000)),
        ),
        (
            r#"{"input_tokens":0,"cache_creation_input_tokens":null,"cache_read_input_tokens":null,"output_tokens":0}"#,
            Some((0, 0, 0)),
        ),
        (r#"{"output_tokens":9}"#, None),
        (r#"{"input_tokens":10}"#, None),
        (r#"{"input_tokens":10,"output_tokens":null}"#, None),
        (r#"{"input_tokens":10,"output_tokens":"9"}"#, None),
        (r#"{"input_tokens":10,"cache_read_input_tokens":-1,"output_tokens":9}"#, None),
        (r#"{"input_tokens":1099511627776,"cache_read_input_tokens":1,"output_tokens":9}"#, None),
    ] {
        assert_eq!(counts(json).usage().and_then(numbers), told, "{json}");
    }
    assert_eq!(Counts::read(&raw("[]")), None);
}

#[test]
fn what_a_message_wrote_to_the_cache_is_told_beside_what_it_read_from_it() {
    for (json, told) in [
        (r#"{"input_tokens":10,"output_tokens":9}"#, Some((10, 0, 0))),
        (
            r#"{"input_tokens":10,"cache_creation_input_tokens":200,"cache_read_input_tokens":3000,"output_tokens":9}"#,
            Some((3210, 3000, 200)),
        ),
        (
            r#"{"input_tokens":0,"cache_creation_input_tokens":7,"cache_read_input_tokens":null,"output_tokens":0}"#,
            Some((7, 0, 7)),
        ),
        (
            r#"{"input_tokens":1,"cache_creation_input_tokens":7,"output_tokens":1,"iterations":[
                {"input_tokens":1,"cache_creation_input_tokens":7,"output_tokens":1},
                {"input_tokens":2,"cache_creation_input_tokens":8,"output_tokens":1}]}"#,
            Some((18, 0, 15)),
        ),
        (r#"{"input_tokens":10,"cache_creation_input_tokens":-1,"output_tokens":9}"#, None),
    ] {
        assert_eq!(counts(json).usage().and_then(prompt), told, "{json}");
    }
    let mut told = counts(r#"{"input_tokens":1,"cache_creation_input_tokens":5}"#);
    told.update(&counts(r#"{"output_tokens":7}"#));
    assert_eq!(told.usage().and_then(prompt), Some((6, 0, 5)), "what is not told again stays");
    told.update(&counts(r#"{"cache_creation_input_tokens":9}"#));
    assert_eq!(told.usage().and_then(prompt), Some((10, 0, 9)));
}

fn input(tokens: u64, cached: u64) -> ReportedInput {
    ReportedInput { tokens, cached, cache_written: 0 }
}

#[test]
fn what_is_told_later_replaces_what_was_told_before() {
    let mut told = counts(r#"{"input_tokens":10,"cache_read_input_tokens":5,"output_tokens":1}"#).of_input();
    assert_eq!((told.input(), told.usage()), (Some(input(15, 5)), None));
    told.update(&counts(r#"{"output_tokens":7}"#));
    assert_eq!(told.usage().and_then(numbers), Some((15, 7, 5)));
    told.update(&counts(r#"{"input_tokens":11,"cache_read_input_tokens":null,"output_tokens":9}"#));
    assert_eq!(told.usage().and_then(numbers), Some((16, 9, 5)));
    told.update(&counts(r#"{"output_tokens":-1}"#));
    assert_eq!((told.input(), told.usage()), (Some(input(16, 5)), None));
}
