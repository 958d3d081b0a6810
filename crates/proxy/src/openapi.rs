//! The data plane's part of the `OpenAPI` document, made from the table of operations.
//!
//! Only what the gateway itself reads and writes is described: everything else of a body passes as it is.
//! Begins at [`document`].

use serde_json::{Map, Value, json};
use wire::{Dialect, Operation};

/// Errors that we make on a route that can cost something: status, and when.
const ERRORS: [(&str, &str); 13] = [
    (
        "400",
        "The body cannot be read, the model's server does not serve this path, or no end user is named where one has to be.",
    ),
    ("401", "The key is missing, unknown or revoked."),
    ("402", "A budget says no. `error.limit` tells which, and when its period ends."),
    (
        "403",
        "The key may not call this model, its workspace is not onboarded, or a budget applies and the model has no price.",
    ),
    ("404", "The model has no endpoint."),
    ("408", "The request came too slowly."),
    ("413", "The body is too long."),
    ("415", "The body is compressed."),
    ("429", "A limit says no. `error.limit` tells which, `retry-after` when to come back."),
    ("431", "The header section is too long."),
    ("502", "The model server cannot be reached, or gave no usable answer."),
    ("503", "The gateway is overloaded or shutting down."),
    ("504", "The model server took too long."),
];

/// Ranges in which a model server's own errors pass, with their own status and body.
const FOREIGN: [&str; 2] = ["4XX", "5XX"];

/// `paths` and `components` of the data plane.
#[must_use]
pub fn document() -> Value {
    let mut paths = Map::new();
    for operation in Operation::ALL {
        paths.insert(operation.path().to_owned(), json!({ "post": post(operation) }));
    }
    paths.insert("/v1/models".to_owned(), json!({ "get": models() }));
    paths.insert("/v1/models/{slug}".to_owned(), json!({ "get": model() }));
    json!({ "paths": paths, "components": { "schemas": schemas(), "securitySchemes": security_schemes() } })
}

fn post(operation: Operation) -> Value {
    let (id, summary) = names(operation);
    let error = error_schema(operation.dialect());
    let mut responses = Map::new();
    responses.insert("200".to_owned(), answered(operation));
    for (status, when) in ERRORS {
        responses.insert(status.to_owned(), described(when, error));
    }
    for range in FOREIGN {
        let foreign = "The model server's own error, as it came; `x-tollgate-error-source` is `upstream`.";
        responses.insert(range.to_owned(), json!({ "description": foreign }));
    }
    json!({
        "operationId": id,
        "summary": summary,
        "tags": ["calls"],
        "security": security(),
        "requestBody": { "required": true, "content": { "application/json": { "schema": request_schema(operation) } } },
        "responses": responses,
    })
}

fn names(operation: Operation) -> (&'static str, &'static str) {
    match operation {
        Operation::ChatCompletions => ("chat_completions", "A chat completion, whole or streamed"),
        Operation::Completions => ("completions", "A text completion, whole or streamed"),
        Operation::Embeddings => ("embeddings", "Embeddings of texts"),
        Operation::Responses => ("responses", "A response, whole or streamed; not in the background"),
        Operation::Messages => ("messages", "A message in Anthropic's dialect, whole or streamed"),
        Operation::CountTokens => {
            ("count_tokens", "How many tokens a message would have; costs a request and no tokens")
        }
    }
}

/// What the gateway reads of a body. Members that it does not know pass as they are.
fn request_schema(operation: Operation) -> Value {
    let (streams, bound) = match operation {
        Operation::ChatCompletions => (true, Some("max_completion_tokens")),
        Operation::Completions | Operation::Messages => (true, Some("max_tokens")),
        Operation::Responses => (true, Some("max_output_tokens")),
        Operation::Embeddings | Operation::CountTokens => (false, None),
    };
    let mut properties = Map::new();
    let model =
        json!({ "type": "string", "description": "The slug of the model.", "examples": ["acme/chat"] });
    properties.insert("model".to_owned(), model);
    if streams {
        properties.insert("stream".to_owned(), json!({ "type": ["boolean", "null"] }));
    }
    if let Some(bound) = bound {
        let description =
            "The most tokens the answer may have. Held at admission; what is not used comes back.";
        let bound_schema = json!({ "type": ["integer", "null"], "minimum": 0, "description": description });
        properties.insert(bound.to_owned(), bound_schema);
    }
    json!({ "type": "object", "required": ["model"], "properties": properties, "additionalProperties": true })
}

fn answered(operation: Operation) -> Value {
    let mut content = Map::new();
    content.insert("application/json".to_owned(), json!({ "schema": { "type": "object" } }));
    if !matches!(operation, Operation::Embeddings | Operation::CountTokens) {
        // No schema: tools differ on whether it would be of the whole stream or of one event.
        content.insert("text/event-stream".to_owned(), json!({}));
    }
    json!({ "description": "The model server's answer; its `model` is the slug.", "content": content })
}

fn models() -> Value {
    let list = "The models that the key may call and that have an endpoint.";
    json!({
        "operationId": "models",
        "summary": list,
        "tags": ["calls"],
        "security": security(),
        "responses": reads(list, "ModelList"),
    })
}

fn model() -> Value {
    let description = "The slug of a model; its slash raw or as `%2F`.";
    let slug = json!({
        "name": "slug", "in": "path", "required": true, "description": description, "schema": { "type": "string" },
    });
    json!({
        "operationId": "model",
        "summary": "One model",
        "tags": ["calls"],
        "security": security(),
        "parameters": [slug],
        "responses": reads("The model.", "Model"),
    })
}

fn reads(what: &str, schema: &str) -> Value {
    let error = error_schema(Dialect::OpenAi);
    json!({
        "200": described(what, schema),
        "400": described("The request cannot be read.", error),
        "401": described("The key is missing, unknown or revoked.", error),
        "403": described("The key's workspace is not onboarded.", error),
        "404": described("No such model.", error),
        "503": described("The gateway is shutting down.", error),
    })
}

fn described(description: &str, schema: &str) -> Value {
    let schema = json!({ "$ref": format!("#/components/schemas/{schema}") });
    json!({ "description": description, "content": { "application/json": { "schema": schema } } })
}

fn error_schema(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAi => "CallError",
        Dialect::Anthropic => "MessageError",
    }
}

fn security() -> Value {
    json!([{ "customer_key": [] }, { "customer_key_header": [] }])
}

fn security_schemes() -> Value {
    json!({
        "customer_key": {
            "type": "http", "scheme": "bearer",
            "description": "A customer's key. `Authorization: Api-Key KEY` is read as well.",
        },
        "customer_key_header": { "type": "apiKey", "in": "header", "name": "x-api-key" },
    })
}

fn schemas() -> Value {
    let text = json!({ "type": "string" });
    let whole = json!({ "type": "integer", "minimum": 0 });
    json!({
        "CallError": {
            "type": "object",
            "required": ["error"],
            "properties": {
                "type": { "type": "string", "description": "A refusal in one word, such as `token_limited`." },
                "error": {
                    "type": "object",
                    "required": ["message", "type", "param", "code"],
                    "properties": {
                        "message": { "type": "string", "description": "What happened and what to do." },
                        "type": text,
                        "param": { "type": ["string", "null"] },
                        "code": text,
                        "request_id": text,
                        "limit": { "$ref": "#/components/schemas/LimitNote" },
                    },
                },
            },
        },
        "MessageError": {
            "type": "object",
            "required": ["type", "error"],
            "properties": {
                "type": { "const": "error" },
                "error": {
                    "type": "object",
                    "required": ["type", "message"],
                    "properties": {
                        "type": text,
                        "message": { "type": "string", "description": "What happened and what to do." },
                        "code": text,
                        "limit": { "$ref": "#/components/schemas/LimitNote" },
                    },
                },
                "request_id": text,
            },
        },
        "LimitNote": limit_note(),
        "Model": {
            "type": "object",
            "required": ["id", "object", "created", "owned_by"],
            "properties": { "id": text, "object": { "const": "model" }, "created": whole, "owned_by": text },
        },
        "ModelList": {
            "type": "object",
            "required": ["object", "data"],
            "properties": {
                "object": { "const": "list" },
                "data": { "type": "array", "items": { "$ref": "#/components/schemas/Model" } },
            },
        },
    })
}

fn limit_note() -> Value {
    let text = json!({ "type": "string" });
    let whole = json!({ "type": "integer", "minimum": 0 });
    json!({
        "type": "object",
        "description": "The limit that refused the call. Calls in flight (`CONCURRENCY`) have no unit and no window; one of a model config names the config, and the budget or rate limit.",
        "required": ["type", "threshold", "scope"],
        "properties": {
            "type": { "type": "string", "enum": ["TOKEN", "REQUEST", "USD", "CONCURRENCY"] },
            "unit": { "type": "string", "enum": ["SECOND", "MINUTE", "DAY", "PERIOD"] },
            "window": text,
            "threshold": { "type": "number", "minimum": 0, "description": "Of a budget in USD, as is `used`." },
            "scope": { "type": "string", "enum": ["group", "ancestor", "model_config"] },
            "source_group": text,
            "model_config_id": text,
            "budget_id": text,
            "rate_limit_id": text,
            "resets_at": { "type": "string", "format": "date-time" },
            "used": { "type": "number", "minimum": 0 },
            "retry_after_s": whole,
        },
    })
}
