//! The management part of the published document: what all its operations have in common.
//!
//! What one operation reads and answers stands at its handler. Here is the rest: credentials, the workspace a request
//! acts on, and the errors. Each error's status, code and sentence are taken from [`Error`] itself.
//!
//! Begins at [`with_what_all_share`].

use std::borrow::Cow;

use axum::response::IntoResponse;
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::Value;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    Components, ContentBuilder, Header, InfoBuilder, ObjectBuilder, OpenApi, OpenApiBuilder, PathItem, Paths,
    Ref, RefOr, Response, ResponseBuilder, Tag, Type,
};
use utoipa::{PartialSchema, ToSchema};

use crate::access::WORKSPACE_HEADER;
use crate::error::{Error, ErrorBody, RateLimitedBody};
use crate::keys::mint::MintBody;
use crate::manners::{self, GovernanceErrorBody, GovernanceMessage, Manners};
use crate::webhook::redrive::RedriveBody;

const JSON: &str = "application/json";
const BEARER: &str = "management_key";
const API_KEY: &str = "management_key_header";
const WORKSPACE: &str = "Workspace";
/// Customers' keys, as the data plane describes them.
const CUSTOMER_KEYS: [&str; 2] = ["customer_key", "customer_key_header"];

/// Paths below these do not act in a workspace that a header names: they name it themselves, or are about the whole
/// gateway.
const ABOVE_WORKSPACES: [&str; 2] = ["/v1/workspaces", "/v1/prices"];
/// What a customer asks, and no manager.
const QUOTA: &str = "/api/governance/virtual-keys/quota";
/// Operations on these say what a config is about.
const CONFIGS: &str = "/api/governance/model-configs";

/// Groups of operations, in reading order.
const TAGS: [(&str, &str); 11] = [
    ("groups", "Customers, their tree, and what they may use."),
    ("keys", "Customers' keys."),
    ("limits", "How limits stand, what would become of a call, and what was decided on one."),
    ("billing", "What was used, what it cost, and why: events, sums, and the ledger behind both."),
    (
        "governance",
        "Budgets and rate limits by model, provider and scope, in the shapes of Bifrost. Members that are not described are refused here.",
    ),
    ("endpoints", "Public model names and where they go."),
    ("prices", "What tokens cost, for the whole gateway."),
    ("secrets", "Credentials for model servers."),
    ("webhooks", "Where billing events are sent, and what could not be delivered."),
    ("workspaces", "Tenants of the gateway. For operators alone."),
    ("management keys", "Credentials of those who run a workspace, or the gateway."),
];

/// What any operation may answer in place of its success, and when.
const ALWAYS: [(Error, &str); 6] = [
    (
        Error::Invalid(Cow::Borrowed("The rule that was broken.")),
        "The request breaks a rule; the message says which.",
    ),
    (Error::Unauthorized, "The management key is missing or not valid."),
    (Error::Forbidden("Why not."), "The management key may not do this; the message says why."),
    (Error::NotFound("What there is not."), "There is no such object; the message says which."),
    (
        Error::RateLimited { retry_after_s: 1 },
        "One request too many of this key on this route within a second.",
    ),
    (Error::Unavailable, "The storage does not answer, or the gateway is shutting down."),
];

/// What an operation that reads a body may answer besides.
const WITH_A_BODY: [(Error, &str); 3] = [
    (Error::RequestTimeout, "The body came too slowly."),
    (Error::PayloadTooLarge(8 << 20), "The body is too long."),
    (Error::UnsupportedMediaType, "The body is compressed or otherwise encoded."),
];

/// What an operation may answer besides that says what a config is about.
const WITH_AN_IDENTITY: (Error, &str) = (
    Error::Conflict(Cow::Borrowed("What exists already.")),
    "Another model config is about the same thing; the message says what.",
);

/// The document before any route is in it.
pub(crate) fn begun() -> OpenApi {
    let tag = |(name, description): (&str, &str)| {
        let mut tag = Tag::new(name);
        tag.description = Some(description.to_owned());
        tag
    };
    OpenApiBuilder::new()
        .info(InfoBuilder::new().title("Management of Tollgate").version(env!("CARGO_PKG_VERSION")).build())
        .tags(Some(TAGS.map(tag)))
        .components(Some(components()))
        .paths(Paths::new())
        .build()
}

/// Adds to every operation what all operations share.
pub(crate) fn with_what_all_share(mut api: OpenApi) -> OpenApi {
    for (path, item) in &mut api.paths.paths {
        for operation in operations(item) {
            let requirement = |name| SecurityRequirement::new(name, [""; 0]);
            let keys = if path == QUOTA { CUSTOMER_KEYS } else { [BEARER, API_KEY] };
            operation.security = Some(keys.map(requirement).into());
            if acts_in_a_workspace(path) {
                let workspace = RefOr::Ref(Ref::new(format!("#/components/parameters/{WORKSPACE}")));
                operation.parameters.get_or_insert_default().push(workspace);
            }
            share_errors(path, operation);
        }
    }
    api
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, patch, delete, .. } = item;
    [get, put, post, patch, delete].into_iter().flatten()
}

fn share_errors(path: &str, operation: &mut Operation) {
    let names_an_object = acts_in_a_workspace(path) || path.contains('{');
    let has_body = operation.request_body.is_some();
    let of_body = if has_body { WITH_A_BODY.as_slice() } else { &[] };
    let of_identity = Some(&WITH_AN_IDENTITY).filter(|_| has_body && path.starts_with(CONFIGS));
    for (error, _) in ALWAYS.iter().chain(of_body).chain(of_identity) {
        if matches!(error, Error::NotFound(_)) && !names_an_object {
            continue;
        }
        let (status, _) = error.status_and_code();
        let name = component(error, Manners::of(path));
        let shared = || RefOr::Ref(Ref::new(format!("#/components/responses/{name}")));
        operation.responses.responses.entry(status.as_str().to_owned()).or_insert_with(shared);
    }
}

/// The name of an error among the shared answers.
fn component(error: &Error, manners: Manners) -> String {
    let (_, code) = error.status_and_code();
    match manners {
        Manners::Plain => code.to_owned(),
        Manners::Governance => format!("GOVERNANCE_{code}"),
    }
}

fn acts_in_a_workspace(path: &str) -> bool {
    !ABOVE_WORKSPACES.iter().any(|root| path.starts_with(root)) && path != QUOTA
}

fn components() -> Components {
    let mut components = Components::new();
    for (error, when) in ALWAYS.iter().chain(&WITH_A_BODY) {
        components.responses.insert(component(error, Manners::Plain), answered(error, when).into());
    }
    for (error, when) in ALWAYS.iter().chain(&WITH_A_BODY).chain([&WITH_AN_IDENTITY]) {
        components
            .responses
            .insert(component(error, Manners::Governance), answered_in_governance(error, when).into());
    }
    components.schemas.extend([
        (ErrorBody::name().into(), ErrorBody::schema()),
        (RateLimitedBody::name().into(), RateLimitedBody::schema()),
        (GovernanceErrorBody::name().into(), GovernanceErrorBody::schema()),
        (GovernanceMessage::name().into(), GovernanceMessage::schema()),
        // A body that may be left out can only be a reference: named as a type it would be required, or `null`.
        (MintBody::name().into(), MintBody::schema()),
        (RedriveBody::name().into(), RedriveBody::schema()),
    ]);
    components.parameters.insert(WORKSPACE.to_owned(), workspace_header().into());
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("A management key."));
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer.build()));
    let api_key = ApiKeyValue::with_description("Authorization", "A management key, as `Api-Key KEY`.");
    components.add_security_scheme(API_KEY, SecurityScheme::ApiKey(ApiKey::Header(api_key)));
    components
}

/// An error as it reads on the wire, headers and all.
fn answered(error: &Error, when: &str) -> Response {
    let is_rate_limited = matches!(error, Error::RateLimited { .. });
    let schema = if is_rate_limited { RateLimitedBody::name() } else { ErrorBody::name() };
    described(error, when, (&schema, error.body()))
}

/// The same in the form of governance.
fn answered_in_governance(error: &Error, when: &str) -> Response {
    described(error, when, (&GovernanceErrorBody::name(), manners::body(error)))
}

fn described(error: &Error, when: &str, (schema, example): (&str, Value)) -> Response {
    let schema = Ref::from_schema_name(schema);
    let content = ContentBuilder::new().schema(Some(schema)).example(Some(example)).build();
    let answer = ResponseBuilder::new().description(when).content(JSON, content);
    let sent = error.clone().into_response();
    let text = || Header::new(ObjectBuilder::new().schema_type(Type::String));
    let shown = [WWW_AUTHENTICATE, RETRY_AFTER].into_iter().filter(|name| sent.headers().contains_key(name));
    shown.fold(answer, |answer, name| answer.header(name.as_str(), text())).build()
}

fn workspace_header() -> utoipa::openapi::path::Parameter {
    ParameterBuilder::new()
        .name(WORKSPACE_HEADER)
        .parameter_in(ParameterIn::Header)
        .description(Some(
            "The `id` of the workspace to act on. Without it a key acts on its own; only an operator's key may name another.",
        ))
        .schema(Some(domain::WorkspaceId::schema()))
        .build()
}

/// What the document says of one member of a schema, for tests that hold its bounds against those of the code: the
/// macros that write them down take nothing but numbers.
#[cfg(test)]
#[track_caller]
pub(crate) fn published(schema: &str, member: &str, keyword: &str) -> usize {
    let document = serde_json::to_value(crate::Admin::openapi()).unwrap();
    let said = &document["components"]["schemas"][schema]["properties"][member][keyword];
    usize::try_from(said.as_u64().unwrap_or_else(|| panic!("{schema}.{member} has no {keyword}"))).unwrap()
}

#[cfg(test)]
mod tests {
    use domain::Slug;
    use domain::edit::group::NAME_LEN_MAX;
    use domain::edit::workspace::PREFIXES_MAX;

    use super::*;

    #[test]
    fn bounds_that_come_from_the_domain_are_published_as_they_are() {
        for schema in
            ["GroupCreateMetadata", "GroupUpdateMetadata", "KeyMint", "KeyRegister", "ManagementKeyMint"]
        {
            assert_eq!(published(schema, "name", "maxLength"), NAME_LEN_MAX, "{schema}");
        }
        for schema in ["KeyMint", "KeyRegister"] {
            assert_eq!(published(schema, "user_id", "maxLength"), domain::USER_LEN_MAX, "{schema}");
        }
        for schema in ["WorkspaceCreate", "WorkspaceUpdate"] {
            assert_eq!(published(schema, "org_prefixes", "maxItems"), PREFIXES_MAX, "{schema}");
        }
        let document = serde_json::to_value(crate::Admin::openapi()).unwrap();
        let schemas = &document["components"]["schemas"];
        assert_eq!(schemas["Slug"]["maxLength"], Slug::LEN_MAX);
        assert_eq!(
            (&schemas["Text"]["minLength"], &schemas["Text"]["maxLength"]),
            (&1.into(), &NAME_LEN_MAX.into())
        );
    }

    #[test]
    fn an_operation_publishes_every_error_it_can_answer_and_no_other() {
        let document = serde_json::to_value(crate::Admin::openapi()).unwrap();
        for (path, method, expected) in [
            ("/v1/gateway/groups", "post", "200 400 401 403 404 408 413 415 429 503"),
            ("/v1/gateway/groups", "get", "200 400 401 403 404 429 503"),
            ("/v1/gateway/endpoints/{id}/test", "post", "200 400 401 403 404 429 503"),
            ("/v1/gateway/explain", "post", "200 400 401 403 404 408 413 415 429 503"),
            ("/v1/gateway/decisions/{request_id}", "get", "200 400 401 403 404 429 503"),
            ("/v1/gateway/groups/{id}/limits", "get", "200 400 401 403 404 429 503"),
            ("/v1/prices", "put", "200 400 401 403 408 413 415 429 503"),
            ("/v1/prices", "get", "200 400 401 403 429 503"),
            ("/api/governance/model-configs", "post", "200 400 401 403 404 408 409 413 415 429 503"),
            ("/api/governance/providers/{name}", "put", "200 400 401 403 404 408 413 415 429 503"),
            ("/api/governance/budgets", "get", "200 400 401 403 404 429 503"),
            ("/api/governance/virtual-keys/quota", "get", "200 400 401 403 429 503"),
            ("/v1/workspaces", "get", "200 400 401 403 429 503"),
            ("/v1/workspaces/{id}", "patch", "200 400 401 403 404 408 413 415 429 503"),
        ] {
            let operation = &document["paths"][path][method];
            let statuses: Vec<_> = operation["responses"].as_object().unwrap().keys().cloned().collect();
            assert_eq!(statuses.join(" "), expected, "{method} {path}");
        }
    }
}
