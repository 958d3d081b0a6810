//! What a body says of the end user that the call is made for.

use domain::USER_LEN_MAX;

use super::*;

const OPENAI: [Operation; 4] =
    [Operation::ChatCompletions, Operation::Completions, Operation::Embeddings, Operation::Responses];
const ANTHROPIC: [Operation; 2] = [Operation::Messages, Operation::CountTokens];

/// A member that names the user in the dialect of the operation.
fn naming(operation: Operation, user: &str) -> String {
    match OPENAI.contains(&operation) {
        true => with(&format!(r#""user":{user}"#)),
        false => with(&format!(r#""metadata":{{"user_id":{user}}}"#)),
    }
}

#[test]
fn each_dialect_has_its_own_place_for_the_user() {
    let all = with(r#""user":"one","safety_identifier":"two","metadata":{"user_id":"three"}"#);
    for operation in OPENAI {
        assert_eq!(read_as(operation, &all).user(), Some("one"), "{operation:?}");
        let safety = with(r#""safety_identifier":"two","metadata":{"user_id":"three"}"#);
        assert_eq!(read_as(operation, &safety).user(), Some("two"), "{operation:?}");
        let metadata = with(r#""metadata":{"user_id":"three","user":"four"}"#);
        assert_eq!(read_as(operation, &metadata).user(), None, "{operation:?}");
    }
    for operation in ANTHROPIC {
        assert_eq!(read_as(operation, &all).user(), Some("three"), "{operation:?}");
        let top = with(r#""user":"one","safety_identifier":"two","user_id":"three""#);
        assert_eq!(read_as(operation, &top).user(), None, "{operation:?}");
    }
}

#[test]
fn a_user_that_names_nobody_leaves_it_to_the_safety_identifier() {
    for nobody in ["null", "\"\"", "7", "[]"] {
        let body = with(&format!(r#""user":{nobody},"safety_identifier":"two""#));
        assert_eq!(read(&body).user(), Some("two"), "{nobody}");
    }
}

#[test]
fn whatever_is_no_text_of_1_to_256_bytes_names_nobody_and_passes_untouched() {
    let long = format!("\"{}\"", "x".repeat(USER_LEN_MAX + 1));
    let long_in_escapes = format!("\"{}\"", "\\u0061".repeat(USER_LEN_MAX + 1));
    let long_in_bytes = format!("\"{}\"", "é".repeat(USER_LEN_MAX / 2 + 1));
    for operation in Operation::ALL {
        for nobody in [
            "null",
            "\"\"",
            "7",
            "true",
            "[\"u\"]",
            "{}",
            r#""\ud800""#,
            &long,
            &long_in_escapes,
            &long_in_bytes,
        ] {
            let body = naming(operation, nobody);
            assert_eq!(read_as(operation, &body).user(), None, "{operation:?} {nobody}");
            assert_eq!(sent_as(operation, &body, None), body);
        }
    }
}

#[test]
fn a_user_may_be_as_long_as_the_bound_and_written_with_escapes() {
    for operation in Operation::ALL {
        for (written, user) in [
            (r#""u\u005f1""#.to_owned(), "u_1".to_owned()),
            (format!("\"{}\"", "x".repeat(USER_LEN_MAX)), "x".repeat(USER_LEN_MAX)),
            (format!("\"{}\"", "\\u0061".repeat(USER_LEN_MAX)), "a".repeat(USER_LEN_MAX)),
            ("\"é 😀\"".to_owned(), "é 😀".to_owned()),
        ] {
            let body = naming(operation, &written);
            assert_eq!(read_as(operation, &body).user(), Some(user.as_str()), "{operation:?}");
            assert_eq!(sent_as(operation, &body, None), body);
        }
    }
}

#[test]
fn metadata_of_any_other_kind_names_nobody() {
    for metadata in ["null", "[]", "\"user_id\"", "{}", r#"{"user":"u"}"#] {
        let body = with(&format!(r#""metadata":{metadata}"#));
        assert_eq!(read_as(Operation::Messages, &body).user(), None, "{metadata}");
    }
    let long = with(&format!(r#""metadata":{{"user_id":"u","x":"{}"}}"#, "x".repeat(METADATA_LEN_MAX)));
    let call = read_as(Operation::Messages, &long);
    assert_eq!((call.user(), call.metadata()), (Some("u"), None), "too long to be kept, not to be read");
}

#[test]
fn a_user_that_is_told_twice_is_refused_since_nobody_knows_which_is_meant() {
    for operation in OPENAI {
        for (members, key) in [
            (r#""user":"a","user":"b""#, "`user`"),
            (r#""user":"a","User":"b""#, "`user`"),
            (r#""safety_identifier":"a","safety_identifier":"a""#, "`safety_identifier`"),
        ] {
            let Malformed::InvalidJson(sentence) = refused_as(operation, &with(members)) else {
                panic!("{operation:?} {members}")
            };
            assert!(sentence.contains(key), "{sentence}");
        }
    }
    for operation in ANTHROPIC {
        for members in [r#""user_id":"a","user_id":"b""#, r#""user_id":"a","USER_ID":"b""#] {
            let body = with(&format!(r#""metadata":{{{members}}}"#));
            let Malformed::InvalidJson(sentence) = refused_as(operation, &body) else { panic!("{body}") };
            assert!(sentence.contains("`metadata.user_id`"), "{sentence}");
        }
        assert_eq!(read_as(operation, &with(r#""user":1,"user":2"#)).user(), None, "not read here");
    }
}

#[test]
fn no_debug_text_shows_the_user() {
    let body = with(r#""user":"somebody""#);
    assert!(!format!("{:?}", read(&body)).contains("somebody"));
}
