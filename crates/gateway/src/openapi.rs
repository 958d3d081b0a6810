//! The `OpenAPI` document of the whole server: the data plane's part, management's, and the gateway's own routes.
//!
//! Each part is made by the code that serves it; here they are put together. Guarantees: no two parts describe the
//! same path or give two things one name (a test holds it).
//! Begins at [`document`].

use std::sync::LazyLock;

use admin::Admin;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::metrics::CONTENT_TYPE;
use crate::node::{METRICS, Own};

const ABOUT: &str = "A self-hosted gateway that sells access to language models.\n\n\
    Members that are not described are ignored by management, refused below `/api/governance`, and pass to the model server in calls. \
    A connection that brings no request across is answered 400, 408 or 431, with the body `CallError`, whatever its path.";

static RENDERED: LazyLock<Bytes> = LazyLock::new(|| document().to_string().into());

/// The document.
#[must_use]
pub fn document() -> Value {
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tollgate",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") },
        },
        "servers": [{ "url": "/" }],
        "tags": [
            { "name": "calls", "description": "What customers call, with a customer's key." },
            { "name": "gateway", "description": "The gateway itself. Open to everyone, but for its numbers." },
        ],
    });
    for part in [proxy::openapi::document(), management(), own()] {
        add(&mut document, part);
    }
    document
}

/// The document as it is sent, made once.
pub(crate) fn rendered() -> Bytes {
    RENDERED.clone()
}

fn management() -> Value {
    let document = serde_json::to_value(Admin::openapi()).expect("the document has text for keys");
    // The document of the whole server says itself which version of the format it has, and what it is about.
    let part = ["paths", "components", "tags"].map(|name| (name.to_owned(), document[name].clone()));
    Value::Object(Map::from_iter(part))
}

fn own() -> Value {
    let paths: Map<_, _> = Own::ALL
        .iter()
        .map(|own| (own.path().to_owned(), json!({ "get": get(*own) })))
        .chain([metrics()])
        .collect();
    json!({ "paths": paths, "components": { "schemas": { "Health": {
        "type": "object",
        "required": ["status"],
        "properties": { "status": { "type": "string", "enum": ["live", "ready", "draining"] } },
    } } } })
}

fn get(own: Own) -> Value {
    let (id, summary, schema) = match own {
        Own::Live => {
            ("live", "Whether the process serves.", json!({ "$ref": "#/components/schemas/Health" }))
        }
        Own::Ready => {
            ("ready", "Whether callers may be sent here.", json!({ "$ref": "#/components/schemas/Health" }))
        }
        Own::OpenApi => ("openapi", "This document.", json!({ "type": "object" })),
    };
    let answer = |description: &str| json!({ "description": description, "content": { "application/json": { "schema": schema } } });
    let mut responses = Map::from_iter([("200".to_owned(), answer("So it is."))]);
    if own == Own::Ready {
        responses.insert("503".to_owned(), answer("Not any more: the gateway is shutting down."));
    }
    json!({ "operationId": id, "summary": summary, "tags": ["gateway"], "security": [], "responses": responses })
}

fn metrics() -> (String, Value) {
    let known = |name: &str| json!({ "$ref": format!("#/components/responses/{name}") });
    let get = json!({
        "operationId": "metrics",
        "summary": "The gateway's numbers, in the text form of OpenMetrics.",
        "description": "For any management key that may read. Where management has a listener of its own \
            (`server.admin_listen`), this is served there alone, without a key. No rate limit applies.",
        "tags": ["gateway"],
        "security": [{ "management_key": [] }, { "management_key_header": [] }],
        "responses": {
            "200": { "description": "The numbers of this moment.", "content": { CONTENT_TYPE: { "schema": { "type": "string" } } } },
            "401": known("UNAUTHORIZED"),
            "403": known("FORBIDDEN"),
        },
    });
    (METRICS.to_owned(), json!({ "get": get }))
}

/// Adds a part to a whole: members of objects to objects, items of lists to lists.
fn add(whole: &mut Value, part: Value) {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            for (name, value) in part {
                match whole.get_mut(&name) {
                    Some(known) => add(known, value),
                    None => {
                        whole.insert(name, value);
                    }
                }
            }
        }
        (Value::Array(whole), Value::Array(part)) => whole.extend(part),
        (whole, part) => *whole = part,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn names(document: &Value, place: &str) -> Vec<String> {
        let members = document.pointer(place).and_then(Value::as_object);
        members.into_iter().flat_map(Map::keys).cloned().collect()
    }

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn no_two_parts_give_one_name_to_two_things() {
        for place in ["/paths", "/components/schemas", "/components/responses", "/components/securitySchemes"]
        {
            let mut seen = HashSet::new();
            for part in [proxy::openapi::document(), management(), own()] {
                for name in names(&part, place) {
                    assert!(seen.insert(name.clone()), "{place}: {name}");
                }
            }
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_schema_is_referred_to() {
        let document = document();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 100);
        for reference in &found {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
        for name in names(&document, "/components/schemas") {
            assert!(found.contains(&format!("#/components/schemas/{name}")), "{name}");
        }
    }

    #[test]
    fn every_operation_has_an_id_of_its_own_a_summary_and_a_tag_that_is_explained() {
        let document = document();
        let tags: Vec<_> = document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
        let mut seen = HashSet::new();
        for item in document["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                let id = operation["operationId"].as_str().unwrap();
                assert!(seen.insert(id.to_owned()), "{id}");
                assert!(!operation["summary"].as_str().unwrap().is_empty(), "{id}");
                assert!(tags.contains(&&operation["tags"][0]), "{id}");
                assert!(operation["security"].is_array(), "{id}");
            }
        }
    }
}
