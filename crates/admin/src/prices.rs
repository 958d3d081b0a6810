//! Prices: `/v1/prices`. They hold for the whole gateway, so an operator writes them and everybody reads them.
//!
//! Two books stand side by side: what the configuration's file says, and what was imported here. Where both price a
//! model, the file's price is in force. Begins at [`prices_put`]; [`map`] reads what is imported.

pub(crate) mod map;

use std::ops::Bound;
use std::sync::Arc;

use axum::extract::State;
use domain::{PriceBook, PriceSource, Pricing, edit};
use serde::Serialize;
use utoipa::ToSchema;

use self::map::{PriceMap, PriceMapError, read_price_map};
use crate::access::{Operator, Viewer};
use crate::admin::Admin;
use crate::error::Error;
use crate::json::{Answer, Received};
use crate::page::{BAD_CURSOR, Kind, ListQuery, Page};

/// What a cursor has between provider, model and source. No name in a price map has control characters.
const BETWEEN: char = '\0';

/// What the best known price map says of a model, as far as it is read. Further members are ignored, but for
/// `…_above_<N>k_tokens` forms of these prices: they hold for calls with more prompt tokens than that.
#[derive(Debug, ToSchema)]
#[schema(as = PriceMapEntry)]
#[expect(dead_code, reason = "it is read digit by digit, and described here")]
struct EntryBody {
    /// Who serves it. What begins with `vertex_ai` is `vertex`. Without one the entry is skipped.
    #[schema(examples("openai"))]
    litellm_provider: Option<String>,
    /// Left out, or one of `chat`, `completion`, `embedding`, `responses`; other entries are skipped.
    #[schema(examples("chat"))]
    mode: Option<String>,
    /// USD for a prompt token. Without one the entry is skipped.
    #[schema(minimum = 0, examples(0.0000025))]
    input_cost_per_token: Option<f64>,
    /// USD for a completion token. Without one the entry is skipped.
    #[schema(minimum = 0, examples(0.00001))]
    output_cost_per_token: Option<f64>,
    /// USD for a prompt token that the server had in its cache; left out, it costs what others do.
    #[schema(minimum = 0)]
    cache_read_input_token_cost: Option<f64>,
    /// USD for a prompt token that the server put into its cache; left out, it costs what others do.
    #[schema(minimum = 0)]
    cache_creation_input_token_cost: Option<f64>,
}

/// A price map that was taken.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PricesImported)]
pub(crate) struct ImportedView {
    /// Prices that it gave.
    imported: usize,
    /// Entries that were left out: not about text, without a price for a token or a provider, or said by another entry.
    skipped: usize,
    #[schema(inline)]
    source: SourceView,
}

/// Prices that are gone.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PricesDeleted)]
pub(crate) struct DeletedView {
    /// How many there were.
    deleted: usize,
    #[schema(inline)]
    source: SourceView,
}

/// The price of a model, in USD for a million tokens.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Price)]
pub(crate) struct PriceView {
    provider: Arc<str>,
    model: Arc<str>,
    #[schema(inline)]
    source: SourceView,
    #[serde(flatten)]
    pricing: Pricing,
}

/// Where a price came from: the file that the configuration names, or an import.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum SourceView {
    File,
    Imported,
}

impl SourceView {
    fn of(source: PriceSource) -> Self {
        match source {
            PriceSource::File => Self::File,
            PriceSource::Imported => Self::Imported,
        }
    }
}

/// Take a price map in the place of all prices that were imported before.
///
/// Keys are models, as `gpt-4o` or `openai/gpt-4o`. An entry that cannot be billed by is skipped, one that is wrong
/// refuses the whole map.
#[utoipa::path(
    put,
    path = "/v1/prices",
    tag = "prices",
    request_body(
        content = BTreeMap<String, EntryBody>,
        example = json!({ "gpt-4o": {
            "litellm_provider": "openai",
            "mode": "chat",
            "input_cost_per_token": 0.000_002_5,
            "output_cost_per_token": 0.000_01,
            "cache_read_input_token_cost": 0.000_001_25,
        } }),
    ),
    responses((status = 200, description = "What was taken of it.", body = ImportedView)),
)]
pub(crate) async fn prices_put(
    operator: Operator,
    State(admin): State<Arc<Admin>>,
    Received(body): Received,
) -> Result<Answer<ImportedView>, Error> {
    let PriceMap { book, skipped } = read_price_map(&body)?;
    let imported = book.0.len();
    replace(operator, &admin, book).await?;
    tracing::info!(imported, skipped, "prices imported");
    Ok(Answer(ImportedView { imported, skipped, source: SourceView::Imported }))
}

/// Delete all prices that were imported.
#[utoipa::path(
    delete,
    path = "/v1/prices",
    tag = "prices",
    responses((status = 200, description = "The prices are gone; those of the file stay.", body = DeletedView)),
)]
pub(crate) async fn prices_delete(
    operator: Operator,
    State(admin): State<Arc<Admin>>,
) -> Result<Answer<DeletedView>, Error> {
    let deleted = replace(operator, &admin, PriceBook::default()).await?;
    tracing::info!(deleted, "imported prices deleted");
    Ok(Answer(DeletedView { deleted, source: SourceView::Imported }))
}

/// List prices.
///
/// Where the file and an import price the same model, the file's is in force and stands first.
#[utoipa::path(
    get,
    path = "/v1/prices",
    tag = "prices",
    params(
        ("provider" = Option<String>, Query, description = "Those of this provider alone."),
        ("model" = Option<String>, Query, description = "Those of models with this very name alone."),
        ListQuery,
    ),
    responses((status = 200, description = "A page of prices, by provider and model.", body = Page<PriceView>)),
)]
pub(crate) async fn price_list(
    _: Viewer,
    State(admin): State<Arc<Admin>>,
    query: ListQuery,
) -> Result<Answer<Page<PriceView>>, Error> {
    let (provider, model) = (query.get("provider")?, query.get("model")?);
    let (after, limit) = (after(&query)?, query.limit()?);
    let snapshot = admin.store.snapshot();
    let books = PriceSource::ALL.map(|source| (source, snapshot.prices(source)));
    let is_wanted = |(its_provider, its_model, _): &Place| {
        provider.is_none_or(|name| name == &**its_provider) && model.is_none_or(|name| name == &**its_model)
    };
    // One more than asked for, so that the page knows whether there is another.
    let found = merged(&books, after.as_ref(), limit.saturating_add(1), is_wanted);
    Ok(Answer(Page::cut(Kind::Price, limit, found.into_iter(), remembered, shown)))
}

/// Puts a book in the place of what was imported; how many prices there were.
async fn replace(operator: Operator, admin: &Admin, book: PriceBook) -> Result<usize, Error> {
    let replaced = move |cx: &edit::Context<'_>| {
        let before = cx.snapshot.prices(PriceSource::Imported).0.len();
        Ok((edit::prices::replace(cx, PriceSource::Imported, book), before))
    };
    admin.edit(operator.right, replaced).await
}

/// Where a price stands in the list: what is in force comes before what it covers.
type Place = (Arc<str>, Arc<str>, PriceSource);
type Row = (Place, Arc<Pricing>);

/// The first `most` of all books that come after a place and are wanted.
fn merged(
    books: &[(PriceSource, Arc<PriceBook>)],
    after: Option<&Place>,
    most: usize,
    is_wanted: impl Fn(&Place) -> bool,
) -> Vec<Row> {
    let of_book = |(source, book): &(PriceSource, Arc<PriceBook>)| -> Vec<Row> {
        rows_after(book, *source, after).filter(|(place, _)| is_wanted(place)).take(most).collect()
    };
    let mut found: Vec<Row> = books.iter().flat_map(of_book).collect();
    found.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    found.truncate(most);
    found
}

fn rows_after<'a>(
    book: &'a PriceBook,
    source: PriceSource,
    after: Option<&Place>,
) -> impl Iterator<Item = Row> + 'a {
    let from = match after {
        None => Bound::Unbounded,
        Some((provider, model, last)) => {
            let name = (Arc::clone(provider), Arc::clone(model));
            if source > *last { Bound::Included(name) } else { Bound::Excluded(name) }
        }
    };
    book.0.range((from, Bound::Unbounded)).map(move |((provider, model), pricing)| {
        ((Arc::clone(provider), Arc::clone(model), source), Arc::clone(pricing))
    })
}

fn remembered(((provider, model, source), _): &Row) -> String {
    format!("{provider}{BETWEEN}{model}{BETWEEN}{}", source.name())
}

fn after(query: &ListQuery) -> Result<Option<Place>, Error> {
    let remembered = query.after_name(Kind::Price)?;
    if remembered.is_empty() {
        return Ok(None);
    }
    let mut parts = remembered.split(BETWEEN);
    let place = (parts.next(), parts.next(), parts.next());
    let (Some(provider), Some(model), Some(source)) = place else { return Err(Error::invalid(BAD_CURSOR)) };
    let source = PriceSource::ALL.into_iter().find(|its| its.name() == source);
    let source = source.ok_or(Error::invalid(BAD_CURSOR))?;
    Ok(Some((provider.into(), model.into(), source)))
}

fn shown(((provider, model, source), pricing): Row) -> PriceView {
    PriceView { provider, model, source: SourceView::of(source), pricing: Pricing::clone(&pricing) }
}

impl From<PriceMapError> for Error {
    fn from(error: PriceMapError) -> Self {
        Self::invalid(format!("The price map cannot be taken: {error}."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_by_page_every_price_comes_once_and_what_is_in_force_comes_first() {
        let pricing: Pricing =
            serde_json::from_str(r#"{"input_per_million":1,"output_per_million":1}"#).unwrap();
        let book = |models: &[&str]| {
            let price = |model: &&str| (("p".into(), (*model).into()), Arc::new(pricing.clone()));
            Arc::new(PriceBook(models.iter().map(price).collect()))
        };
        let books =
            [(PriceSource::File, book(&["b", "c"])), (PriceSource::Imported, book(&["a", "b", "c", "d"]))];
        let mut seen = Vec::new();
        let mut after: Option<Place> = None;
        while let Some((place, _)) = merged(&books, after.as_ref(), 1, |_| true).pop() {
            seen.push(format!("{} {}", place.1, place.2.name()));
            after = Some(place);
        }
        assert_eq!(seen, ["a imported", "b file", "b imported", "c file", "c imported", "d imported"]);
        let odd = merged(&books, None, 9, |(_, model, _)| &**model == "b");
        assert_eq!(odd.len(), 2);
    }
}
