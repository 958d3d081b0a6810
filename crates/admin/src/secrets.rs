//! Secrets: `/v1/secrets`. Values go in and never come out; the data plane alone reads them.

use std::sync::Arc;

use axum::extract::State;
use domain::{Secret, SecretValue, edit};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::{Manager, Viewer};
use crate::admin::Admin;
use crate::error::Error;
use crate::json::{Answer, Hidden, Received, parse};
use crate::page::{Kind, ListQuery, Page};
use crate::path::InPath;
use crate::time::Timestamp;

/// Longest name, in bytes.
const NAME_LEN_MAX: usize = 255;
/// Longest value, in bytes. It becomes one HTTP header.
const VALUE_LEN_MAX: usize = 16 << 10;
/// Names that begin so mean the gateway's environment.
pub(crate) const ENV_PREFIX: &str = "env.";

/// A secret and its value.
#[derive(Deserialize, ToSchema)]
#[schema(as = SecretPut)]
struct PutBody {
    /// Must not begin with `env.`, which means the environment of the gateway.
    #[schema(min_length = 1, max_length = 255, pattern = "^[A-Za-z0-9_.-]+$")]
    name: String,
    /// Visible ASCII, as a header can hold it. Goes in and never comes out.
    #[schema(value_type = String, write_only, min_length = 1, max_length = 16_384, pattern = "^[!-~]+$")]
    value: Hidden,
}

/// A secret, without its value.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Secret)]
pub(crate) struct SecretView {
    name: Arc<str>,
    created_at: Timestamp,
}

/// A secret that is gone.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SecretDeleted)]
pub(crate) struct DeletedView {
    name: String,
}

impl SecretView {
    fn of(secret: &Secret) -> Self {
        Self { name: Arc::clone(&secret.name), created_at: Timestamp(secret.created_s) }
    }
}

/// Create a secret, or replace its value.
#[utoipa::path(
    post,
    path = "/v1/secrets",
    tag = "secrets",
    request_body = PutBody,
    responses((status = 200, description = "The secret, without its value.", body = SecretView)),
)]
pub(crate) async fn secret_put(
    manager: Manager,
    State(admin): State<Arc<Admin>>,
    Received(body): Received,
) -> Result<Answer<SecretView>, Error> {
    let PutBody { name, value: Hidden(value) } = parse(&body)?;
    check_name(&name)?;
    check_value(&value)?;
    let put = move |cx: &edit::Context<'_>| Ok(edit::secret::put(cx, manager.workspace, &name, value));
    let secret = admin.edit(manager.right, put).await?;
    tracing::info!(secret.name = %secret.name, "secret put");
    Ok(Answer(SecretView::of(&secret)))
}

/// List the secrets of the workspace, without their values.
#[utoipa::path(
    get,
    path = "/v1/secrets",
    tag = "secrets",
    params(ListQuery),
    responses((status = 200, description = "A page of secrets, in order of names.", body = Page<SecretView>)),
)]
pub(crate) async fn secret_list(
    viewer: Viewer,
    State(admin): State<Arc<Admin>>,
    query: ListQuery,
) -> Result<Answer<Page<SecretView>>, Error> {
    let after = query.after_name(Kind::Secret)?;
    let snapshot = admin.store.snapshot();
    let secrets = snapshot.secrets_after(viewer.workspace, &after);
    let name = |secret: &&Arc<Secret>| secret.name.to_string();
    Ok(Answer(Page::cut(Kind::Secret, query.limit()?, secrets, name, |secret| SecretView::of(secret))))
}

/// Delete a secret that no endpoint uses.
#[utoipa::path(
    delete,
    path = "/v1/secrets/{name}",
    tag = "secrets",
    params(("name" = String, Path, description = "The name of a secret.")),
    responses((status = 200, description = "The secret is gone.", body = DeletedView)),
)]
pub(crate) async fn secret_delete(
    manager: Manager,
    State(admin): State<Arc<Admin>>,
    InPath(name): InPath<String>,
) -> Result<Answer<DeletedView>, Error> {
    let deleted = {
        let name = name.clone();
        move |cx: &edit::Context<'_>| Ok((edit::secret::delete(cx, manager.workspace, &name)?, ()))
    };
    admin.edit(manager.right, deleted).await?;
    tracing::info!(secret.name = %name, "secret deleted");
    Ok(Answer(DeletedView { name }))
}

fn check_name(name: &str) -> Result<(), Error> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if name.is_empty() || name.len() > NAME_LEN_MAX || !name.bytes().all(plain) {
        return Err(Error::invalid(format!(
            "name has 1 to {NAME_LEN_MAX} characters out of A-Z, a-z, 0-9, `_`, `.` and `-`; choose such a name."
        )));
    }
    if name.starts_with(ENV_PREFIX) {
        return Err(Error::invalid(
            "name begins with `env.`, which means the gateway's environment; choose another name.",
        ));
    }
    Ok(())
}

fn check_value(value: &SecretValue) -> Result<(), Error> {
    let value = value.expose();
    if value.is_empty() || value.len() > VALUE_LEN_MAX || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::invalid(format!(
            "value has 1 to {VALUE_LEN_MAX} visible ASCII characters, as an HTTP header does; send such a value."
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::published;

    #[test]
    fn the_published_bounds_are_those_that_are_kept() {
        assert_eq!(published("SecretPut", "name", "maxLength"), NAME_LEN_MAX);
        assert_eq!(published("SecretPut", "value", "maxLength"), VALUE_LEN_MAX);
    }

    #[test]
    fn names_are_plain_and_do_not_mean_the_environment() {
        for good in ["a", "OPENAI_API_KEY", "x.y-z_0", "environment", &"n".repeat(255)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a/b", "é", "env.HOME", "env.", &"n".repeat(256)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_are_what_a_header_can_hold() {
        let check = |value: &str| check_value(&SecretValue::new(value));
        assert!(check("sk-123~!").is_ok());
        assert!(check(&"v".repeat(VALUE_LEN_MAX)).is_ok());
        for bad in ["", "a\r\nb", "a b", "é", "\u{7f}", &"v".repeat(VALUE_LEN_MAX + 1)] {
            assert!(check(bad).is_err());
        }
    }

    #[test]
    fn an_error_about_a_value_does_not_repeat_it() {
        let Err(Error::Invalid(message)) = parse::<PutBody>(br#""sk-424242""#) else { panic!("no body") };
        assert_eq!(message, "The body is not as expected: invalid type: text, expected an object.");
        for body in [r#"{"name":"a","value":424242}"#, r#"{"name":"a","value":["424242"]}"#] {
            let Err(Error::Invalid(message)) = parse::<PutBody>(body.as_bytes()) else { panic!("{body}") };
            assert_eq!(message, "value: expected text.");
        }
    }
}
