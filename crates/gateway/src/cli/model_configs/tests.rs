use clap::Parser;

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: ModelConfigsCommand,
}

/// The body that a command line makes.
fn body(line: &[&str]) -> anyhow::Result<Value> {
    let cli = Cli::try_parse_from([&["model-configs"], line].concat())?;
    match cli.command {
        ModelConfigsCommand::Create(args) => args.body(),
        ModelConfigsCommand::Update(args) => args.body(),
        ModelConfigsCommand::List
        | ModelConfigsCommand::Get { .. }
        | ModelConfigsCommand::Delete { .. }
        | ModelConfigsCommand::Reset { .. } => panic!("this command has no body"),
    }
}

#[test]
fn limits_are_read_from_amounts_and_periods() {
    let line = [
        "create",
        "--model",
        "*",
        "--provider",
        "openai",
        "--scope",
        "user",
        "--scope-id",
        "u-1",
        "--budget",
        "10/1d",
        "--budget",
        "0.1/1h30m",
        "--requests",
        "100/1h",
        "--tokens",
        "1000000/1M",
        "--aligned",
    ];
    let expected = json!({
        "model_name": "*", "provider": "openai", "scope": "user", "scope_id": "u-1", "calendar_aligned": true,
        "budgets": [{"max_limit": 10, "reset_duration": "1d"}, {"max_limit": 0.1, "reset_duration": "1h30m"}],
        "rate_limit": {
            "request_max_limit": 100, "request_reset_duration": "1h",
            "token_max_limit": 1_000_000, "token_reset_duration": "1M",
        },
    });
    assert_eq!(body(&line).unwrap(), expected);
    assert_eq!(body(&["create", "--model", "acme/chat"]).unwrap(), json!({"model_name": "acme/chat"}));
}

#[test]
fn an_update_says_what_is_given_and_nothing_else() {
    for (line, expected) in [
        (vec!["--no-budgets"], json!({"budgets": []})),
        (vec!["--no-rate-limit"], json!({"rate_limit": {}})),
        (vec!["--aligned=false"], json!({"calendar_aligned": false})),
        (vec!["--model", "m"], json!({"model_name": "m"})),
        (
            vec!["--tokens", "5/1d"],
            json!({"rate_limit": {"token_max_limit": 5, "token_reset_duration": "1d"}}),
        ),
    ] {
        assert_eq!(body(&[&["update", "id"], &line[..]].concat()).unwrap(), expected);
    }
}

#[test]
fn what_cannot_be_meant_is_wrong_usage() {
    let create = |more: &[&str]| body(&[&["create", "--model", "m"], more].concat());
    for more in [
        ["--budget", "10"],
        ["--budget", "ten/1d"],
        ["--budget", "-1/1d"],
        ["--budget", "10/1D"],
        ["--budget", "10/"],
        ["--requests", "1.5/1h"],
        ["--requests", "100"],
        ["--tokens", "-1/1h"],
        ["--scope-id", "u-1"],
    ] {
        assert!(create(&more).is_err(), "{more:?}");
    }
    assert!(body(&["create"]).is_err(), "a model is needed");
    assert!(body(&["update", "id"]).is_err(), "nothing to change");
    assert!(body(&["update", "id", "--budget", "1/1d", "--no-budgets"]).is_err());
    let error = create(&["--budget", "10/1y"]).unwrap_err();
    assert!(error.is::<Usage>() && error.to_string().contains("`10/1y`"), "{error}");
}

#[test]
fn a_config_has_a_row_for_each_limit_with_its_use_and_its_end() {
    let config = json!({
        "id": "c1", "model_name": "acme/chat", "scope": "virtual_key", "scope_id": "sky_1", "calendar_aligned": true,
        "budgets": [{
            "id": "b1", "max_limit": 10, "reset_duration": "1M", "last_reset": "2026-11-01T00:00:00.000Z",
            "current_usage": 0.25,
        }],
        "rate_limit": {
            "id": "r1", "request_current_usage": 3, "token_max_limit": 50, "token_reset_duration": "90s",
            "token_current_usage": 7, "token_last_reset": "2026-11-21T10:00:00.250Z",
        },
    });
    let rows = table::rows(&config);
    let about = ["c1", "virtual_key:sky_1", "acme/chat", "-"];
    let expected = [
        [&about[..], &["USD/1M", "0.25 / 10", "2026-12-01T00:00:00Z", "b1"]].concat(),
        [&about[..], &["TOKEN/90s", "7 / 50", "2026-11-21T10:01:30Z", "r1"]].concat(),
    ];
    assert_eq!(rows, expected);
    let bare = json!({"id": "c2", "model_name": "*", "scope": "global", "provider": "openai", "budgets": []});
    assert_eq!(table::rows(&bare), [["c2", "global", "*", "openai", "-", "-", "-", "-"]]);
    assert_eq!(
        (table::about(&config), table::about(&bare)),
        ("virtual_key:sky_1 acme/chat".into(), "global * openai".into())
    );
}

#[test]
fn rules_are_shown_as_the_limits_they_are() {
    let rule = |id: &str, side: &str| json!({"id": id, "metric": side, format!("{side}_max_limit"): 1, format!("{side}_reset_duration"): "1m"});
    let config = json!({"id": "c", "budgets": [], "rate_limits": [rule("a", "request"), rule("b", "token")]});
    let lines: Vec<_> =
        table::rows(&config).into_iter().map(|row| [row[4].clone(), row[7].clone()]).collect();
    assert_eq!(lines, [["REQUEST/1m", "a"], ["TOKEN/1m", "b"]]);
}
