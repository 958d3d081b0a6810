//! `tollgate groups tree`: who stands under whom, with the limits each declares.

use std::collections::HashMap;

use anyhow::bail;
use serde_json::Value;

use super::client::{Client, Form};
use super::output::{limits_of, say, say_json, text};

pub(super) async fn run(client: &Client, top: Option<&str>) -> anyhow::Result<()> {
    let groups = client.list("/v1/gateway/groups").await?;
    let mut below: HashMap<Option<String>, Vec<&Value>> = HashMap::new();
    for group in &groups {
        let parent = group["hierarchy"]["parent_group_id"].as_str().map(str::to_owned);
        below.entry(parent).or_default().push(group);
    }
    let tops: Vec<&Value> = match top {
        None => below.get(&None).cloned().unwrap_or_default(),
        Some(id) => groups.iter().filter(|group| group["id"] == id).collect(),
    };
    if let (Some(id), true) = (top, tops.is_empty()) {
        bail!("there is no group {id}");
    }
    match client.form {
        Form::Json => say_json(&Value::Array(tops.iter().map(|group| nested(group, &below)).collect())),
        Form::Table => tops.iter().try_for_each(|group| draw(group, &below, "", "")),
    }
}

/// A group with its children inside, for scripts. A tree has five levels, so this goes no deeper.
fn nested(group: &Value, below: &HashMap<Option<String>, Vec<&Value>>) -> Value {
    let id = group["id"].as_str().map(str::to_owned);
    let children = below.get(&id).map(Vec::as_slice).unwrap_or_default();
    let mut group = group.clone();
    group["children"] = children.iter().map(|child| nested(child, below)).collect();
    group
}

fn draw(
    group: &Value,
    below: &HashMap<Option<String>, Vec<&Value>>,
    branch: &str,
    stem: &str,
) -> anyhow::Result<()> {
    let metadata = &group["metadata"];
    let name = metadata["name"].as_str().map_or(String::new(), |name| format!(" \"{name}\""));
    let hierarchy = &group["hierarchy"];
    let mode = if hierarchy["parent_group_id"].is_null() {
        format!("  {}", text(&hierarchy["limit_enforcement"]))
    } else {
        String::new()
    };
    say(&format!("{branch}{}{name}  {}{mode}", text(&metadata["external_entity_id"]), text(&group["id"])))?;
    let id = group["id"].as_str().map(str::to_owned);
    let children = below.get(&id).map(Vec::as_slice).unwrap_or_default();
    let rail = if children.is_empty() { "  " } else { "│ " };
    for model in group["models"].as_array().into_iter().flatten() {
        say(&format!("{stem}{rail}  {}: {}", text(&model["slug"]), limits_of(model)))?;
    }
    for (at, child) in children.iter().enumerate() {
        let last = at + 1 == children.len();
        let (fork, rail) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        draw(child, below, &format!("{stem}{fork}"), &format!("{stem}{rail}"))?;
    }
    Ok(())
}
