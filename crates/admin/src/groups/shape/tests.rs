use domain::Version;

use super::*;
use crate::json::parse;
use crate::openapi::published;

const ROOT: &str = r#""hierarchy":{"limit_enforcement":"INDEPENDENT","parent_group_id":null}"#;

fn draft(body: &str, settings: &Settings) -> Result<GroupDraft, Error> {
    parse::<CreateBody>(body.as_bytes())?.draft(WorkspaceId(1), settings)
}

#[track_caller]
fn refused(result: Result<impl std::fmt::Debug, Error>) -> String {
    match result {
        Err(Error::Invalid(message)) => message.into_owned(),
        other => panic!("{other:?}"),
    }
}

fn group() -> Group {
    Group {
        id: GroupId(7),
        workspace: WorkspaceId(1),
        serial: Version(1),
        metadata: Metadata { name: None, external_entity_id: "cust_42".into() },
        models: Vec::new(),
        enforcement: Enforcement::Cascading,
        parent: Some(GroupId(6)),
        root: GroupId(6),
        level: 2,
        created_s: 0,
    }
}

fn patch(body: &str) -> Result<GroupPatch, Error> {
    parse::<UpdateBody>(body.as_bytes())?.patch(&group(), &Settings::default())
}

#[test]
fn a_group_has_to_state_its_place_unless_the_setting_says_otherwise() {
    let body = |hierarchy: &str| {
        format!(r#"{{"metadata":{{"external_entity_id":"a"}},"models":[{{"slug":"a/b"}}]{hierarchy}}}"#)
    };
    let (strict, lenient) =
        (Settings::default(), Settings { hierarchy: Hierarchy::Optional, ..Settings::default() });
    for partial in [
        "",
        r#","hierarchy":null"#,
        r#","hierarchy":{}"#,
        r#","hierarchy":{"limit_enforcement":"CASCADING"}"#,
        r#","hierarchy":{"parent_group_id":null}"#,
        r#","hierarchy":{"parent_group_id":null,"limit_enforcement":null}"#,
    ] {
        assert!(refused(draft(&body(partial), &strict)).contains("hierarchy"), "{partial}");
        assert!(draft(&body(partial), &lenient).is_ok(), "{partial}");
    }
    assert!(draft(&body(&format!(",{ROOT}")), &strict).is_ok());
}

#[test]
fn a_parent_that_is_no_id_is_not_found_and_only_after_the_rest_is_in_form() {
    let body = |models: &str| {
        format!(
            r#"{{"metadata":{{"external_entity_id":"a"}},"models":{models},
            "hierarchy":{{"limit_enforcement":"CASCADING","parent_group_id":"cust_1"}}}}"#
        )
    };
    let result = draft(&body(r#"[{"slug":"a/b"}]"#), &Settings::default());
    assert!(matches!(result, Err(Error::NotFound(_))), "{result:?}");
    refused(draft(&body("[]"), &Settings::default()));
}

#[test]
fn null_asks_for_no_ceiling_and_no_admission_of_its_own() {
    let body = |field: &str| {
        format!(r#"{{"metadata":{{"external_entity_id":"a"}},"models":[{{"slug":"a/b",{field}}}],{ROOT}}}"#)
    };
    let model = |field: &str| draft(&body(field), &Settings::default()).unwrap().models.remove(0);
    for field in [r#""max_concurrent_requests":null"#, r#""admission":null"#] {
        let model = model(field);
        assert_eq!((model.max_concurrent_requests, model.admission), (None, None), "{field}");
    }
    assert_eq!(model(r#""max_concurrent_requests":4"#).max_concurrent_requests, Some(4));
    for (word, admission) in [
        ("estimate", Admission::Estimate),
        ("learned", Admission::Learned),
        ("hard", Admission::Hard),
        ("observed", Admission::Observed),
    ] {
        assert_eq!(model(&format!(r#""admission":"{word}""#)).admission, Some(admission));
    }
    for (field, name) in [
        (r#""max_concurrent_requests":0"#, "max_concurrent_requests"),
        (r#""max_concurrent_requests":-1"#, "models[0].max_concurrent_requests"),
        (r#""max_concurrent_requests":1.5"#, "models[0].max_concurrent_requests"),
        (r#""max_concurrent_requests":"4""#, "models[0].max_concurrent_requests"),
        (r#""max_concurrent_requests":9223372036854775808"#, "max_concurrent_requests"),
        (r#""admission":"sometimes""#, "admission"),
    ] {
        assert!(refused(draft(&body(field), &Settings::default())).contains(name), "{field}");
    }
}

#[test]
fn an_update_needs_a_name_or_models() {
    for nothing in [
        "{}",
        r#"{"metadata":{}}"#,
        r#"{"metadata":null}"#,
        r#"{"models":null}"#,
        r#"{"metadata":{"external_entity_id":"cust_42"}}"#,
        r#"{"hierarchy":{"limit_enforcement":"CASCADING"}}"#,
        r#"{"effective_models":[]}"#,
    ] {
        assert!(refused(patch(nothing)).contains("Nothing to change"), "{nothing}");
    }
    assert_eq!(patch(r#"{"metadata":{"name":null}}"#).unwrap().name, Some(None));
    assert_eq!(patch(r#"{"models":[]}"#).unwrap().models, Some(Vec::new()));
}

#[test]
fn what_cannot_change_may_be_repeated_but_not_changed() {
    let with = |field: &str| patch(&format!(r#"{{"models":[],{field}}}"#));
    for same in [
        r#""metadata":{"external_entity_id":"cust_42"}"#.to_owned(),
        r#""hierarchy":{"limit_enforcement":"CASCADING"}"#.to_owned(),
        format!(r#""hierarchy":{{"parent_group_id":"{}"}}"#, GroupId(6)),
    ] {
        assert!(with(&same).is_ok(), "{same}");
    }
    for different in [
        r#""metadata":{"external_entity_id":"cust_43"}"#.to_owned(),
        r#""metadata":{"external_entity_id":null}"#.to_owned(),
        r#""hierarchy":{"limit_enforcement":"INDEPENDENT"}"#.to_owned(),
        r#""hierarchy":{"parent_group_id":null}"#.to_owned(),
        format!(r#""hierarchy":{{"parent_group_id":"{}"}}"#, GroupId(5)),
    ] {
        assert!(refused(with(&different)).contains("cannot be changed"), "{different}");
    }
}

#[test]
fn the_published_bounds_are_those_that_are_kept() {
    let threshold = |keyword| u64::try_from(published("LimitWanted", "threshold", keyword)).unwrap();
    assert_eq!(threshold("maximum"), domain::THRESHOLD_MAX);
    assert_eq!(threshold("minimum"), Settings::default().threshold_min);
    for schema in ["GroupCreate", "GroupUpdate"] {
        assert_eq!(published(schema, "models", "maxItems"), MODELS_MAX, "{schema}");
    }
}
