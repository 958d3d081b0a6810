//! What commands print: tables for people, JSON for scripts.

use std::io::{self, Write as _};

use serde_json::Value;

/// Prints one line.
pub(super) fn say(line: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{line}") {
        // Whoever reads, such as `head`, has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        said => Ok(said?),
    }
}

/// Prints a value as indented JSON.
pub(super) fn say_json(value: &Value) -> anyhow::Result<()> {
    say(&serde_json::to_string_pretty(value)?)
}

/// Prints rows under their headings, aligned.
pub(super) fn say_table(headings: &[&str], rows: &[Vec<String>]) -> anyhow::Result<()> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(headings.get(column).map(|heading| heading.len())).max().unwrap_or(0)
    };
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.enumerate().map(|(at, cell)| format!("{cell:<width$}", width = width(at)));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    say(&line(&mut headings.iter().copied()))?;
    for row in rows {
        say(&line(&mut row.iter().map(String::as_str)))?;
    }
    Ok(())
}

/// A field as text on one line, a dash where there is none. Money is decimal however little it is: `0.0000069`, not
/// `6.9e-6`.
pub(super) fn text(value: &Value) -> String {
    match (value.as_str(), value.as_f64()) {
        (Some(text), _) => plain(text),
        (None, Some(amount)) if value.is_f64() => amount.to_string(),
        (None, _) if value.is_null() => "-".to_owned(),
        (None, _) => value.to_string(),
    }
}

/// A text on one line. Names are whatever somebody sent, and break no table and command no terminal.
pub(super) fn plain(text: &str) -> String {
    let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().map(shown).collect()
}

/// What is used of a limit as it stands, and its threshold: `3/100`, with what calls in flight hold `3+40/100`.
pub(super) fn live(row: &Value) -> String {
    let pending = if row["pending"] == 0 { String::new() } else { format!("+{}", text(&row["pending"])) };
    format!("{}{pending}/{}", text(&row["used"]), text(&row["threshold"]))
}

/// Type and unit of a limit: `TOKEN/DAY`; of a model config's the length of its period: `USD/1M`. Calls in flight have
/// neither.
pub(super) fn window(limit: &Value) -> String {
    let kind = text(&limit["type"]);
    match limit["unit"].as_str() {
        None => kind,
        Some("PERIOD") => format!("{kind}/{}", text(&limit["window"])),
        Some(unit) => format!("{kind}/{unit}"),
    }
}

/// The group or model config that declares a limit.
pub(super) fn set_by(limit: &Value) -> String {
    let config = limit["model_config_id"].as_str();
    config.map_or_else(|| text(&limit["source_group"]), |config| format!("config {config}"))
}

/// The limits of one model entry, as people read them: `REQUEST/MINUTE 100, TOKEN/DAY 10000000`.
pub(super) fn limits_of(model: &Value) -> String {
    let list = |name: &str| model.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let shown = |limit: &Value| format!("{} {}", window(limit), text(&limit["threshold"]));
    let ceiling = model["max_concurrent_requests"].as_u64().map(|calls| format!("CONCURRENCY {calls}"));
    let limits = list("rate_limits").into_iter().chain(list("usage_limits"));
    let all: Vec<String> = limits.map(|limit| shown(&limit)).chain(ceiling).collect();
    if all.is_empty() { "no limit of its own".to_owned() } else { all.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn little_money_is_written_without_an_exponent() {
        for (sent, shown) in [
            ("6.9e-6", "0.0000069"),
            ("0.000000001", "0.000000001"),
            ("60.00000135", "60.00000135"),
            ("25", "25"),
        ] {
            let amount: Value = serde_json::from_str(sent).unwrap();
            assert_eq!(text(&amount), shown);
            let row = json!({"used": amount, "pending": amount, "threshold": 1});
            assert_eq!(live(&row), format!("{shown}+{shown}/1"));
        }
    }

    #[test]
    fn a_name_cannot_break_a_line_or_command_a_terminal() {
        assert_eq!(text(&json!("a\r\nb\u{1b}[2Jc\u{9b}é")), "a\u{fffd}\u{fffd}b\u{fffd}[2Jc\u{fffd}é");
        assert_eq!(text(&Value::Null), "-");
    }
}
