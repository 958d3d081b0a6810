//! `GET /api/governance/model-configs` and `GET /api/governance/model-configs/{id}`
//!
//! The list pages by number and not by cursor, as its clients expect. Begins at [`Query::read`].

use std::sync::Arc;

use axum::extract::State;
use domain::ModelConfig;
use serde::Serialize;
use utoipa::ToSchema;

use super::shape::folded;
use super::view::{Live, ModelConfigView};
use super::{configs_of, named};
use crate::access::Viewer;
use crate::admin::Admin;
use crate::error::Error;
use crate::json::Answer;
use crate::page::ListQuery;
use crate::path::InPath;

/// Configs of a page where the client filters, or begins elsewhere, and does not say.
const LIMIT_DEFAULT: usize = 25;
/// Most configs of a page, if they are not read from memory.
const LIMIT_MAX: usize = 100;

/// Some of the configs of a workspace, in order of creation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ModelConfigList)]
pub(crate) struct ListView {
    model_configs: Vec<ModelConfigView>,
    /// How many are here.
    count: usize,
    /// How many match.
    total_count: usize,
    /// The most that could be here.
    limit: usize,
    /// How many that match come before these.
    offset: usize,
}

/// One config.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ModelConfigRead)]
pub(crate) struct ReadView {
    model_config: ModelConfigView,
}

/// What the client wants to see.
#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    /// None for all of them.
    limit: Option<usize>,
    offset: usize,
    /// In lower case.
    search: String,
    scope: Option<String>,
    scope_id: Option<String>,
    provider: Option<String>,
}

/// List model configs, oldest first.
///
/// All of them, unless the query says otherwise: any parameter but `from_memory` makes it a page.
#[utoipa::path(
    get,
    path = "/api/governance/model-configs",
    tag = "governance",
    params(
        ("limit" = Option<u64>, Query, description = "Most configs of the page: 25 if it is 0, 100 if it is more."),
        ("offset" = Option<u64>, Query, description = "How many to leave out at the beginning."),
        ("search" = Option<String>, Query, description = "A part of the model's name, in any case."),
        ("scope" = Option<String>, Query, description = "The scope, exactly."),
        ("scope_id" = Option<String>, Query, description = "Whose, within the scope, exactly."),
        ("provider" = Option<String>, Query, description = "The provider; configs for every provider do not match."),
        ("from_memory" = Option<String>, Query, description = "With `true` a bad `limit` or `offset` is ignored, and a page may be of any length. Usage is live either way."),
    ),
    responses((status = 200, description = "The configs.", body = ListView)),
)]
pub(crate) async fn model_config_list(
    viewer: Viewer,
    State(admin): State<Arc<Admin>>,
    query: ListQuery,
) -> Result<Answer<ListView>, Error> {
    let query = Query::read(&query)?;
    let snapshot = admin.store.snapshot();
    let matching: Vec<_> =
        configs_of(&snapshot, viewer.workspace).filter(|config| query.matches(config)).collect();
    let page = query.page(&matching);
    let live = Live::at(&admin, &snapshot);
    Ok(Answer(ListView {
        model_configs: page.iter().map(|config| ModelConfigView::of(live, config)).collect(),
        count: page.len(),
        total_count: matching.len(),
        limit: query.limit.unwrap_or(page.len()),
        offset: query.offset,
    }))
}

/// Read a model config.
#[utoipa::path(
    get,
    path = "/api/governance/model-configs/{id}",
    tag = "governance",
    params(("id" = String, Path, description = "The `id` of a model config.")),
    responses((status = 200, description = "The config.", body = ReadView)),
)]
pub(crate) async fn model_config_get(
    viewer: Viewer,
    State(admin): State<Arc<Admin>>,
    InPath(id): InPath<String>,
) -> Result<Answer<ReadView>, Error> {
    let snapshot = admin.store.snapshot();
    let config = named(&snapshot, viewer.workspace, &id)?;
    Ok(Answer(ReadView { model_config: ModelConfigView::of(Live::at(&admin, &snapshot), config) }))
}

impl Query {
    fn read(query: &ListQuery) -> Result<Self, Error> {
        let from_memory = query.get("from_memory")? == Some("true");
        let number = |name| match text(query, name)?.map(|text| whole(name, text)) {
            Some(Err(_)) if from_memory => Ok(None),
            number => number.transpose(),
        };
        let (limit, offset) = (number("limit")?, number("offset")?);
        let filter = |name| text(query, name);
        let [search, scope] = [filter("search")?, filter("scope")?];
        let [scope_id, provider] = [filter("scope_id")?, filter("provider")?];
        let filters = [search, scope, scope_id, provider];
        let is_page = limit.is_some() || offset.is_some() || filters.iter().any(Option::is_some);
        let most = if from_memory { usize::MAX } else { LIMIT_MAX };
        let limit = limit.filter(|limit| *limit > 0).unwrap_or(LIMIT_DEFAULT).min(most);
        Ok(Self {
            limit: is_page.then_some(limit),
            offset: offset.unwrap_or(0),
            search: search.unwrap_or_default().to_lowercase(),
            scope: scope.map(str::to_owned),
            scope_id: scope_id.map(str::to_owned),
            provider: provider.map(folded),
        })
    }

    fn matches(&self, config: &ModelConfig) -> bool {
        let identity = &config.identity;
        let is =
            |wanted: &Option<String>, given: Option<&str>| wanted.is_none() || wanted.as_deref() == given;
        identity.model_name.to_lowercase().contains(&self.search)
            && is(&self.scope, Some(identity.scope.name()))
            && is(&self.scope_id, identity.scope.id().as_deref())
            && is(&self.provider, identity.provider.as_deref())
    }

    /// The part of all that match which is asked for; nothing past their end.
    fn page<'a, T>(&self, matching: &'a [T]) -> &'a [T] {
        let rest = matching.get(self.offset..).unwrap_or_default();
        &rest[..rest.len().min(self.limit.unwrap_or(usize::MAX))]
    }
}

/// A parameter, if it is there and says something.
fn text<'a>(query: &'a ListQuery, name: &str) -> Result<Option<&'a str>, Error> {
    query.get(name).map(|text| text.filter(|text| !text.is_empty()))
}

fn whole(name: &str, text: &str) -> Result<usize, Error> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    // No more than the document says: what many clients have for a whole number.
    let number = text.parse::<i64>().ok().filter(|_| digits).and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| Error::invalid(format!("{name} is not a whole number, 0 or more.")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Query {
        Query::read(&ListQuery::of(text)).unwrap()
    }

    proptest! {
        #[test]
        fn pages_one_after_another_hold_everything_once(len in 0_usize..400, limit in 1_usize..=LIMIT_MAX) {
            let all: Vec<usize> = (0..len).collect();
            let (mut seen, mut offset) = (Vec::new(), 0);
            loop {
                let page = read(&format!("limit={limit}&offset={offset}"));
                prop_assert_eq!(page.limit, Some(limit));
                let page = page.page(&all);
                if page.is_empty() {
                    break;
                }
                seen.extend_from_slice(page);
                offset += limit;
            }
            prop_assert_eq!(seen, all);
        }

        #[test]
        fn a_page_never_has_more_than_its_limit_which_has_a_bound(
            limit in 0..=i64::MAX, offset in 0..=i64::MAX, len in 0_usize..300,
        ) {
            let all: Vec<usize> = (0..len).collect();
            let query = read(&format!("limit={limit}&offset={offset}"));
            let most = query.limit.unwrap();
            prop_assert!((1..=LIMIT_MAX).contains(&most));
            prop_assert!(query.page(&all).len() <= most);
            let from_memory = read(&format!("limit={limit}&offset={offset}&from_memory=true"));
            prop_assert!(from_memory.page(&all).len() >= query.page(&all).len());
        }

        #[test]
        fn from_memory_no_number_is_refused(limit in "[a-z0-9-]{0,30}", offset in "[a-z0-9-]{0,30}") {
            read(&format!("from_memory=true&limit={limit}&offset={offset}"));
        }

        #[test]
        fn what_is_no_number_is_refused(text in "[0-9]{0,3}[a-z.+-][0-9a-z]{0,5}") {
            let query = |name: &str| Query::read(&ListQuery::of(&format!("{name}={}", text.replace('+', "%2B"))));
            prop_assert!(query("limit").is_err() && query("offset").is_err());
        }
    }

    #[test]
    fn without_parameters_there_is_no_limit() {
        for text in ["", "unknown=1", "from_memory=true", "limit=&search=", "from_memory=true&limit=x"] {
            assert_eq!(read(text), Query::default(), "{text}");
        }
    }
}
