//! Model configs as people read them: a row for each limit, with what is used of it and when it begins anew.

use domain::ResetDuration;
use jiff::Timestamp;
use serde_json::Value;

use crate::cli::output::{plain, say_table, text};

const HEADINGS: [&str; 8] = ["ID", "SCOPE", "MODEL", "PROVIDER", "LINE", "USED / LIMIT", "RESETS", "LINE ID"];

pub(super) fn say(configs: &[Value]) -> anyhow::Result<()> {
    let rows: Vec<_> = configs.iter().flat_map(rows).collect();
    say_table(&HEADINGS, &rows)
}

/// What a config is about, in few words: `group:XRRjnsqRcPc acme/chat`.
pub(super) fn about(config: &Value) -> String {
    [scope(config), text(&config["model_name"]), text(&config["provider"])]
        .join(" ")
        .trim_end_matches(" -")
        .to_owned()
}

fn scope(config: &Value) -> String {
    match config["scope_id"].as_str() {
        Some(id) => format!("{}:{}", text(&config["scope"]), plain(id)),
        None => text(&config["scope"]),
    }
}

/// A config without a limit has a row too.
pub(super) fn rows(config: &Value) -> Vec<Vec<String>> {
    let about =
        || vec![text(&config["id"]), scope(config), text(&config["model_name"]), text(&config["provider"])];
    let limits = limits(config);
    if limits.is_empty() {
        return vec![[about(), vec!["-".to_owned(); 4]].concat()];
    }
    limits.into_iter().map(|limit| [about(), limit].concat()).collect()
}

/// Line, use, next reset and id of each limit.
fn limits(config: &Value) -> Vec<Vec<String>> {
    let list = |name: &str| config[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let budgets = list("budgets").iter().filter_map(|budget| limit(config, budget, ("USD", "")));
    let rates = config.get("rate_limit").into_iter().chain(list("rate_limits"));
    let sides = [("REQUEST", "request_"), ("TOKEN", "token_")];
    let rates = rates.flat_map(|rate| sides.into_iter().filter_map(move |side| limit(config, rate, side)));
    budgets.chain(rates).collect()
}

/// The cells of one limit; none for a side of a rate limit that has none.
fn limit(config: &Value, line: &Value, (name, side): (&str, &str)) -> Option<Vec<String>> {
    let field = |field: &str| line.get(format!("{side}{field}")).filter(|value| !value.is_null());
    let (max, reset) = (field("max_limit")?, field("reset_duration")?.as_str()?);
    let used = field("current_usage").map_or_else(|| "-".to_owned(), text);
    let began = field("last_reset").and_then(Value::as_str);
    let ends = began.and_then(|began| ends(config, began, reset));
    Some(vec![
        format!("{name}/{reset}"),
        format!("{used} / {}", text(max)),
        ends.unwrap_or_else(|| "-".to_owned()),
        text(&line["id"]),
    ])
}

/// When the period that began then is over, in whole seconds: a period is known by its beginning.
fn ends(config: &Value, began: &str, reset: &str) -> Option<String> {
    let began_ms = u64::try_from(began.parse::<Timestamp>().ok()?.as_millisecond()).ok()?;
    let reset: ResetDuration = reset.parse().ok()?;
    let is_aligned = config["calendar_aligned"] == true;
    let cycle = if is_aligned { reset.calendar(began_ms) } else { reset.lattice(began_ms) };
    let ends = Timestamp::from_millisecond(i64::try_from(cycle.period(began_ms).end_ms).ok()?).ok()?;
    Some(format!("{ends:.0}"))
}
