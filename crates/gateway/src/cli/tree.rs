//! `tollgate groups tree`: who stands under whom, with the limits of each and what is used of them now.

use std::collections::{HashMap, HashSet};

use anyhow::bail;
use serde_json::Value;

use super::client::{Client, Form};
use super::groups::path;
use super::output::{limits_of, live, plain, say, say_json, text, window};

/// Groups whose live numbers are asked for, one request each. A larger tree is drawn without them.
const LIVE_MAX: usize = 1_000;

/// Groups by the group above them.
type Below<'a> = HashMap<Option<String>, Vec<&'a Value>>;

pub(super) async fn run(client: &Client, top: Option<&str>) -> anyhow::Result<()> {
    let mut groups = client.list("/v1/gateway/groups").await?;
    let drawn = drawn(&groups, top);
    if let (Some(id), true) = (top, drawn.is_empty()) {
        bail!("there is no group {id}");
    }
    let is_live = drawn.len() <= LIVE_MAX;
    if is_live {
        add_limits(client, &mut groups, &drawn).await?;
    }
    let below = below(&groups);
    let tops: Vec<&Value> = match top {
        None => below.get(&None).cloned().unwrap_or_default(),
        Some(id) => groups.iter().filter(|group| group["id"] == id).collect(),
    };
    match client.form {
        Form::Json => say_json(&Value::Array(tops.iter().map(|group| nested(group, &below)).collect())),
        Form::Table => {
            tops.iter().try_for_each(|group| draw(group, &below, "", ""))?;
            match is_live {
                true => Ok(()),
                false => say(&format!("More than {LIVE_MAX} groups: name one to see what is used below it.")),
            }
        }
    }
}

fn below(groups: &[Value]) -> Below<'_> {
    let mut below = Below::new();
    for group in groups {
        let parent = group["hierarchy"]["parent_group_id"].as_str().map(str::to_owned);
        below.entry(parent).or_default().push(group);
    }
    below
}

/// The ids of the groups to draw: all of them, or one and what is below it.
fn drawn(groups: &[Value], top: Option<&str>) -> Vec<String> {
    let Some(top) = top else { return groups.iter().map(|group| text(&group["id"])).collect() };
    let below = below(groups);
    let mut ids: Vec<String> =
        groups.iter().filter(|group| group["id"] == top).map(|group| text(&group["id"])).collect();
    let mut at = 0;
    while let Some(id) = ids.get(at).cloned() {
        let children = below.get(&Some(id)).into_iter().flatten();
        ids.extend(children.map(|child| text(&child["id"])));
        at += 1;
    }
    ids
}

/// Puts `limits`, as they stand now, into each of these groups.
async fn add_limits(client: &Client, groups: &mut [Value], ids: &[String]) -> anyhow::Result<()> {
    let ids: HashSet<&String> = ids.iter().collect();
    for group in groups {
        let id = text(&group["id"]);
        if ids.contains(&id) {
            group["limits"] = client.get(&format!("{}/limits", path(&id))).await?["limits"].take();
        }
    }
    Ok(())
}

/// A group with its children inside, for scripts. A tree has five levels, so this goes no deeper.
fn nested(group: &Value, below: &Below<'_>) -> Value {
    let id = group["id"].as_str().map(str::to_owned);
    let children = below.get(&id).map(Vec::as_slice).unwrap_or_default();
    let mut group = group.clone();
    group["children"] = children.iter().map(|child| nested(child, below)).collect();
    group
}

fn draw(group: &Value, below: &Below<'_>, branch: &str, stem: &str) -> anyhow::Result<()> {
    let metadata = &group["metadata"];
    let name = metadata["name"].as_str().map_or(String::new(), |name| format!(" \"{}\"", plain(name)));
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
        say(&format!("{stem}{rail}  {}: {}", text(&model["slug"]), limits(group, model)))?;
    }
    for (at, child) in children.iter().enumerate() {
        let last = at + 1 == children.len();
        let (fork, rail) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        draw(child, below, &format!("{stem}{fork}"), &format!("{stem}{rail}"))?;
    }
    Ok(())
}

/// The limits of a group for one model, as people read them: `REQUEST/MINUTE 3/100, TOKEN/DAY 19/1000 (inherited)`.
/// Those of groups above it that it shares stand there.
fn limits(group: &Value, model: &Value) -> String {
    let Some(standing) = group["limits"].as_array() else { return limits_of(model) };
    let own = standing.iter().filter(|row| row["slug"] == model["slug"] && row["scope"] == "group");
    let shown = |row: &Value| {
        let inherited = if row["source_group"] == group["id"] { "" } else { " (inherited)" };
        format!("{} {}{inherited}", window(row), live(row))
    };
    let all: Vec<String> = own.map(shown).collect();
    if all.is_empty() { "no limit of its own".to_owned() } else { all.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn group(id: &str, parent: Option<&str>) -> Value {
        json!({"id": id, "hierarchy": {"parent_group_id": parent}})
    }

    #[test]
    fn one_group_is_drawn_with_all_below_it_and_nothing_else() {
        let groups = [
            group("a", None),
            group("b", Some("a")),
            group("c", Some("b")),
            group("d", Some("a")),
            group("e", None),
        ];
        assert_eq!(drawn(&groups, None), ["a", "b", "c", "d", "e"]);
        assert_eq!(drawn(&groups, Some("b")), ["b", "c"]);
        assert_eq!(drawn(&groups, Some("nobody")), [""; 0]);
    }

    #[test]
    fn a_tree_too_large_for_live_numbers_shows_thresholds() {
        let model = json!({"slug": "acme/chat", "rate_limits": [{"type": "TOKEN", "unit": "MINUTE", "threshold": 5}]});
        let row = json!({
            "slug": "acme/chat", "scope": "group", "source_group": "a", "type": "TOKEN", "unit": "MINUTE",
            "threshold": 5, "used": 2, "pending": 0,
        });
        assert_eq!(limits(&json!({"id": "a"}), &model), "TOKEN/MINUTE 5");
        assert_eq!(limits(&json!({"id": "a", "limits": [row]}), &model), "TOKEN/MINUTE 2/5");
        assert_eq!(limits(&json!({"id": "b", "limits": [row]}), &model), "TOKEN/MINUTE 2/5 (inherited)");
        assert_eq!(limits(&json!({"id": "b", "limits": []}), &model), "no limit of its own");
    }
}
