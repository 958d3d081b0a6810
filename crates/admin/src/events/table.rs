//! Events for spreadsheets and for programs that read line by line.

use domain::{EventForm, EventView};
use serde_json::Value;

/// The columns: an event's fields, those of its tokens in their place.
const COLUMNS: [&str; 14] = [
    "idempotencyKey",
    "timestamp",
    "requestId",
    "modelSlug",
    "externalEntityId",
    LEGACY,
    "apiKeyPrefix",
    "inputTokens",
    "outputTokens",
    "cachedInputTokens",
    "sequence",
    "usageSource",
    COST,
    "corrects",
];
/// Not there where events do not tell it.
const LEGACY: &str = "externalCustomerId";
/// Written as text, and yet a number.
const COST: &str = "costUsd";

/// One event a line.
pub(super) fn ndjson(events: &[EventView<'_>]) -> String {
    events.iter().map(|event| format!("{}\n", json(event))).collect()
}

/// RFC 4180, with a row of headings.
pub(super) fn csv(events: &[EventView<'_>], form: EventForm) -> String {
    let columns: Vec<&str> =
        COLUMNS.into_iter().filter(|column| form.legacy_customer_id || *column != LEGACY).collect();
    let mut text = format!("{}\r\n", columns.join(","));
    for event in events {
        let event = json(event);
        let cells: Vec<String> = columns.iter().map(|column| cell(column, &event)).collect();
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    text
}

fn json(event: &EventView<'_>) -> Value {
    serde_json::to_value(event).unwrap_or_default()
}

fn cell(column: &str, event: &Value) -> String {
    match event.get(column).or_else(|| event["tokens"].get(column)) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) if column == COST => text.clone(),
        Some(Value::String(text)) => quoted(&harmless(text)),
        Some(number) => number.to_string(),
    }
}

/// Spreadsheets take what begins so for a formula.
fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text.to_owned() }
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_no_formula_and_ends_where_it_ends() {
        for (text, cell) in [
            ("cust_42", "cust_42"),
            ("=1+1", "'=1+1"),
            ("+49", "'+49"),
            ("-x", "'-x"),
            ("@sum", "'@sum"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"\n", "\"say \"\"hi\"\"\n\""),
            ("=a,b", "\"'=a,b\""),
        ] {
            assert_eq!(quoted(&harmless(text)), cell, "{text}");
        }
    }

    #[test]
    fn a_number_below_zero_stays_a_number() {
        let event = serde_json::json!({"tokens": {"inputTokens": -10}, "costUsd": "-0.5", "corrects": null});
        assert_eq!(["inputTokens", COST, "corrects"].map(|column| cell(column, &event)), ["-10", "-0.5", ""]);
    }
}
