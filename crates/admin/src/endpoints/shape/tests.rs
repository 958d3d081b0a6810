use super::*;
use crate::json::parse;
use crate::openapi::published;

const OPERATOR: Manager = Manager::of_nobody(Scope::Operator);
const TENANT: Manager = Manager::of_nobody(Scope::Manage);

fn settings() -> Settings {
    Settings { allow_http: true, secrets_env_allow: vec!["MODEL_KEY".into()], ..Settings::default() }
}

fn draft(manager: Manager, target: &str) -> Result<EndpointDraft, Error> {
    let settings = Settings { allow_networks: vec!["10.1.0.0/16".parse().unwrap()], ..settings() };
    let body = format!(r#"{{"slug":"acme/m1","targets":[{target}]}}"#);
    parse::<CreateBody>(body.as_bytes()).and_then(|body| body.draft(manager, &settings))
}

fn created(target: &str) -> Result<Target, String> {
    match draft(OPERATOR, target) {
        Ok(draft) => Ok(draft.target),
        Err(Error::Invalid(message)) => Err(message.into_owned()),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_target_of_each_provider_is_read() {
    for target in [
        r#"{"provider":"BASETEN","model_id":"3kZ9xqd","environment_name":"staging"}"#,
        r#"{"provider":"ANTHROPIC","secret_id":"s","target_model":"claude"}"#,
        r#"{"provider":"OPENAI","secret_id":"env.MODEL_KEY","target_model":"gpt","model_id":null}"#,
        r#"{"provider":"OPENAI_COMPATIBLE","target_model":"m","base_url":"http://10.0.0.5:8000/v1"}"#,
        r#"{"provider":"VERTEX","secret_id":"s","target_model":"g","vertex_config":{"project_id":"p","location":"eu"}}"#,
        r#"{"provider":"BASETEN_MODEL_API","target_model":"deepseek"}"#,
        r#"{"provider":"OPENAI","secret_id":"s","target_model":"gpt","max_output_tokens":1,"pricing":null}"#,
        r#"{"provider":"OPENAI","secret_id":"s","target_model":"gpt","tokenizer":"cl100k"}"#,
    ] {
        assert!(created(target).is_ok(), "{target}: {:?}", created(target));
    }
}

#[test]
fn production_is_never_named() {
    let target = created(r#"{"provider":"BASETEN","model_id":"m","environment_name":"production"}"#);
    assert_eq!(target.unwrap().environment_name, None);
    let target = created(
        r#"{"provider":"OPENAI","secret_id":"s","target_model":"g","environment_name":"production"}"#,
    );
    assert!(target.unwrap_err().contains("environment_name"));
}

#[test]
fn a_bad_target_is_refused_by_the_name_of_its_field() {
    let ours = r#""provider":"OPENAI_COMPATIBLE","target_model":"m""#;
    for (target, field) in [
        (r#"{"provider":"FOO"}"#.to_owned(), "targets[0].provider"),
        (r#"{"provider":"OPENAI","target_model":"g"}"#.to_owned(), "secret_id"),
        (r#"{"provider":"BASETEN","model_id":"a.evil.example/#"}"#.to_owned(), "targets[0].model_id"),
        (r#"{"provider":"BASETEN","model_id":""}"#.to_owned(), "targets[0].model_id"),
        (format!(r#"{{{ours},"base_url":"ftp://a"}}"#), "targets[0].base_url"),
        (format!(r#"{{{ours},"base_url":"http://169.254.169.254/v1"}}"#), "targets[0].base_url"),
        (format!(r#"{{{ours},"base_url":"http://[::ffff:169.254.169.254]/"}}"#), "targets[0].base_url"),
        (format!(r#"{{{ours},"base_url":"http://a/{}"}}"#, "p".repeat(2048)), "targets[0].base_url"),
        (
            format!(r#"{{{ours},"base_url":"http://a","max_output_tokens":0}}"#),
            "targets[0].max_output_tokens",
        ),
        (
            format!(r#"{{{ours},"base_url":"http://a","max_output_tokens":1.0}}"#),
            "targets[0].max_output_tokens",
        ),
        (format!(r#"{{{ours},"base_url":"http://a","secret_id":"env.HOME"}}"#), "targets[0].secret_id"),
        (
            format!(r#"{{{ours},"base_url":"http://a","pricing":{{}}}}"#),
            "targets[0].pricing: missing field `input_per_million`",
        ),
        (
            format!(
                r#"{{{ours},"base_url":"http://a","pricing":{{"input_per_million":1e400,"output_per_million":1}}}}"#
            ),
            "targets[0].pricing.input_per_million: expected an amount in USD",
        ),
        (format!(r#"{{{ours},"base_url":"http://a","tokenizer":"o200k_base"}}"#), "targets[0].tokenizer"),
        (format!(r#"{{{ours},"base_url":"http://a","hidden_output":"no"}}"#), "targets[0].hidden_output"),
        (String::new(), "targets holds 0 targets"),
        (format!(r#"{{{ours},"base_url":"http://a"}},{{{ours},"base_url":"http://b"}}"#), "targets holds 2"),
    ] {
        let message = created(&target).unwrap_err();
        assert!(message.contains(field), "{target}: {message}");
    }
}

#[test]
fn a_provider_has_a_name_of_one_spelling() {
    let named =
        |name: &str| created(&format!(r#"{{"provider":"BASETEN","model_id":"m","provider_name":{name}}}"#));
    let longest = format!("\"{}\"", "x".repeat(PROVIDER_NAME_LEN_MAX));
    for (name, served_by) in [
        ("null", "baseten"),
        ("\"groq\"", "groq"),
        ("\"a_b-2\"", "a_b-2"),
        (&longest, longest.trim_matches('"')),
    ] {
        assert_eq!(named(name).unwrap().served_by(), served_by, "{name}");
    }
    let too_long = format!("\"{}\"", "x".repeat(PROVIDER_NAME_LEN_MAX + 1));
    for name in ["\"\"", "\"Groq\"", "\"a b\"", "\"a/b\"", "\"grôq\"", "7", &too_long] {
        let message = named(name).unwrap_err();
        assert!(message.starts_with("targets[0].provider_name"), "{name}: {message}");
    }
}

#[test]
fn only_an_operator_points_into_private_networks_or_at_the_environment() {
    let at =
        |url: &str| format!(r#"{{"provider":"OPENAI_COMPATIBLE","target_model":"m","base_url":"{url}"}}"#);
    for private in
        ["http://127.0.0.1:8000/v1", "http://10.0.0.5/v1", "http://[::1]/v1", "http://[::ffff:10.0.0.5]/v1"]
    {
        assert!(matches!(draft(TENANT, &at(private)), Err(Error::Invalid(_))), "{private}");
        assert!(draft(OPERATOR, &at(private)).unwrap().private_allowed, "{private}");
    }
    for open in
        ["http://10.1.2.3/v1", "http://[::ffff:10.1.2.3]/v1", "https://models.example/v1", "http://1.1.1.1/"]
    {
        assert!(!draft(TENANT, &at(open)).unwrap().private_allowed, "{open}");
    }
    let environment = r#"{"provider":"OPENAI","secret_id":"env.MODEL_KEY","target_model":"gpt"}"#;
    assert!(matches!(draft(TENANT, environment), Err(Error::Forbidden(_))));
    assert!(draft(OPERATOR, environment).is_ok());
}

#[test]
fn our_own_variables_are_never_lent_even_if_listed() {
    let listed = ["TOLLGATE_MASTER_KEY".to_owned(), "MODEL_KEY".to_owned()];
    let check = |name: &str| check_secret(name, Scope::Operator, &listed);
    assert!(check("env.MODEL_KEY").is_ok());
    assert!(check("named").is_ok());
    assert!(check("env.TOLLGATE_MASTER_KEY").is_err());
    assert!(check("env.").is_err());
}

#[test]
fn plain_http_is_a_choice_of_the_operator() {
    let strict = Settings::default();
    assert!(check_url("http://models.example/v1", Scope::Manage, &strict).is_err());
    assert!(check_url("https://models.example:8443/v1", Scope::Manage, &strict).is_ok());
    assert!(check_url("http://models.example/v1", Scope::Manage, &settings()).is_ok());
}

#[test]
fn an_update_tells_clearing_from_leaving_alone() {
    let patch =
        |body: &str| parse::<UpdateBody>(body.as_bytes()).and_then(|body| body.patch(OPERATOR, &settings()));
    for nothing in ["{}", r#"{"slug":null,"targets":null}"#, r#"{"unknown":1}"#] {
        assert!(patch(nothing).is_err(), "{nothing}");
    }
    assert_eq!(patch(r#"{"admission":null}"#).unwrap().admission, Some(None));
    assert_eq!(patch(r#"{"admission":"observed"}"#).unwrap().admission, Some(Some(Admission::Observed)));
    assert_eq!(patch(r#"{"admission":"hard"}"#).unwrap().admission, Some(Some(Admission::Hard)));
    assert!(patch(r#"{"admission":"soft"}"#).is_err());
    assert!(patch(r#"{"targets":[]}"#).is_err());
}

#[test]
fn the_published_bounds_are_those_that_are_kept() {
    assert_eq!(published("TargetWanted", "base_url", "maxLength"), URL_LEN_MAX);
    for schema in ["TargetWanted", "Target"] {
        assert_eq!(published(schema, "provider_name", "maxLength"), PROVIDER_NAME_LEN_MAX);
    }
    let most = u64::try_from(published("TargetWanted", "max_output_tokens", "maximum")).unwrap();
    assert_eq!(most, domain::THRESHOLD_MAX);
}
