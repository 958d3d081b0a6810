//! Lists, page by page: in order of creation, with an opaque cursor that says where the last page ended.

use axum::extract::{FromRequestParts, Query};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Version;
use http::request::Parts;
use serde::Serialize;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Array, ArrayBuilder};
use utoipa::openapi::{ObjectBuilder, Ref, Type};
use utoipa::{IntoParams, ToSchema};

use crate::error::Error;

/// Items of a page where the client does not say.
const LIMIT_DEFAULT: usize = 100;
/// Most items of a page.
const LIMIT_MAX: usize = 1000;

pub(crate) const BAD_CURSOR: &str = "cursor is not one that this list gave out; leave it out to begin anew.";

/// The list a cursor belongs to. One of another list is refused, not misread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Group,
    Key,
    Endpoint,
    Secret,
    Workspace,
    ManagementKey,
    Price,
    DeadLetter,
}

impl Kind {
    fn tag(self) -> char {
        match self {
            Self::Group => 'g',
            Self::Key => 'k',
            Self::Endpoint => 'e',
            Self::Secret => 's',
            Self::Workspace => 'w',
            Self::ManagementKey => 'm',
            Self::Price => 'p',
            Self::DeadLetter => 'd',
        }
    }
}

/// The query of a list. A parameter that stands twice is refused; one that we do not know is ignored.
#[derive(Debug)]
pub(crate) struct ListQuery(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for ListQuery {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(pairs)) => Ok(Self(pairs)),
            Err(_) => Err(Error::invalid("The query is malformed; write it as name=value&name=value.")),
        }
    }
}

impl ListQuery {
    /// A parameter, if it is given.
    ///
    /// # Errors
    /// When it is given more than once.
    pub(crate) fn get(&self, name: &str) -> Result<Option<&str>, Error> {
        let mut values = self.0.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(Error::invalid(format!("{name} is given twice; give it once."))),
        }
    }

    /// A parameter that may be given any number of times, up to a bound.
    ///
    /// # Errors
    /// When it is given more than `most` times.
    pub(crate) fn all(&self, name: &str, most: usize) -> Result<Vec<String>, Error> {
        let values = self.0.iter().filter(|(given, _)| given == name);
        let values: Vec<String> =
            values.map(|(_, value)| value.clone()).take(most.saturating_add(1)).collect();
        if values.len() > most {
            return Err(Error::invalid(format!(
                "{name} is given more than {most} times; ask several times."
            )));
        }
        Ok(values)
    }

    /// How many items the client wants.
    ///
    /// # Errors
    /// Anything but a number from 1 to 1000.
    pub(crate) fn limit(&self) -> Result<usize, Error> {
        let Some(text) = self.get("limit")? else { return Ok(LIMIT_DEFAULT) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(limit @ 1..=LIMIT_MAX) if digits => Ok(limit),
            _ => Err(Error::invalid(format!("limit is not a number from 1 to {LIMIT_MAX}."))),
        }
    }

    /// The name after which the page begins; empty for the first page.
    ///
    /// # Errors
    /// A cursor that this list did not give out.
    pub(crate) fn after_name(&self, kind: Kind) -> Result<String, Error> {
        let Some(cursor) = self.get("cursor")? else { return Ok(String::new()) };
        let plain = URL_SAFE_NO_PAD.decode(cursor.trim_end_matches('=')).ok();
        let plain = plain.and_then(|bytes| String::from_utf8(bytes).ok());
        match plain.as_deref().and_then(|plain| plain.strip_prefix(kind.tag())) {
            Some(name) if !name.is_empty() => Ok(name.to_owned()),
            _ => Err(Error::invalid(BAD_CURSOR)),
        }
    }

    /// The configuration version after which the page begins; 0 for the first page.
    ///
    /// # Errors
    /// A cursor that this list did not give out.
    pub(crate) fn after(&self, kind: Kind) -> Result<Version, Error> {
        let name = self.after_name(kind)?;
        if name.is_empty() {
            return Ok(Version(0));
        }
        name.parse().map(Version).map_err(|_| Error::invalid(BAD_CURSOR))
    }
}

impl IntoParams for ListQuery {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let whole = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(LIMIT_MAX));
        let text = ObjectBuilder::new().schema_type(Type::String);
        let parameter = |name: &str, description: &str, schema: ObjectBuilder| {
            let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query);
            parameter.description(Some(description)).schema(Some(schema)).build()
        };
        vec![
            parameter("limit", "Most items of the page.", whole.default(Some(LIMIT_DEFAULT.into()))),
            parameter("cursor", "Where to go on: the `cursor` of the page before.", text),
        ]
    }
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T: ToSchema> {
    #[schema(schema_with = references::<T>)]
    items: Vec<T>,
    pagination: Pagination,
}

/// Where a list goes on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Pagination {
    has_more: bool,
    /// What to send as `cursor` for the next page; `null` on the last one.
    #[schema(required)]
    cursor: Option<String>,
}

impl Pagination {
    pub(crate) fn of(cursor: Option<String>) -> Self {
        Self { has_more: cursor.is_some(), cursor }
    }
}

/// Items are described once, under their own name, and not anew in every page.
fn references<T: ToSchema>() -> Array {
    ArrayBuilder::new().items(Ref::from_schema_name(T::name())).build()
}

impl<T: ToSchema> Page<T> {
    /// These items, and where the list goes on, if it does.
    pub(crate) fn of(items: Vec<T>, cursor: Option<String>) -> Self {
        Self { items, pagination: Pagination::of(cursor) }
    }

    /// The first `limit` of `all`, rendered. `name` says what the cursor remembers of the last one.
    pub(crate) fn cut<I>(
        kind: Kind,
        limit: usize,
        all: impl Iterator<Item = I>,
        name: impl Fn(&I) -> String,
        render: impl Fn(I) -> T,
    ) -> Self {
        // One more than asked for shows whether there is another page.
        let mut found: Vec<I> = all.take(limit.saturating_add(1)).collect();
        let has_more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().filter(|_| has_more);
        let cursor = last.map(|last| URL_SAFE_NO_PAD.encode(format!("{}{}", kind.tag(), name(last))));
        Self { items: found.into_iter().map(render).collect(), pagination: Pagination { has_more, cursor } }
    }
}

#[cfg(test)]
impl ListQuery {
    /// The query of an address, for tests.
    pub(crate) fn of(text: &str) -> Self {
        let uri = format!("/x?{text}").parse().unwrap();
        Self(Query::try_from_uri(&uri).unwrap().0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> ListQuery {
        ListQuery::of(text)
    }

    fn page(limit: usize, after: u64) -> Page<u64> {
        Page::cut(Kind::Group, limit, after + 1..=5, |n| n.to_string(), |n| n)
    }

    #[test]
    fn the_pages_of_a_list_hold_every_item_once() {
        let (mut seen, mut after) = (Vec::<u64>::new(), Version(0));
        loop {
            let page = page(2, after.0);
            seen.extend(&page.items);
            assert_eq!(page.pagination.has_more, page.pagination.cursor.is_some());
            let Some(cursor) = page.pagination.cursor else { break };
            after = query(&format!("cursor={cursor}")).after(Kind::Group).unwrap();
        }
        assert_eq!(seen, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_full_last_page_says_that_it_is_the_last() {
        assert!(!page(5, 0).pagination.has_more);
        assert!(!page(2, 5).pagination.has_more);
    }

    #[test]
    fn a_limit_is_a_number_from_1_to_1000() {
        assert_eq!(query("").limit(), Ok(100));
        assert_eq!(query("limit=1000").limit(), Ok(1000));
        for bad in ["0", "1001", "abc", "", "-1", "%2B5", "1.0", "99999999999999999999999"] {
            assert!(query(&format!("limit={bad}")).limit().is_err(), "{bad}");
        }
        assert!(query("limit=1&limit=1").limit().is_err());
    }

    #[test]
    fn a_cursor_of_another_list_or_of_nobody_is_refused() {
        let cursor = page(2, 0).pagination.cursor.unwrap();
        let after = |text: &str| query(&format!("cursor={text}")).after(Kind::Group);
        assert_eq!(after(&format!("{cursor}==")), Ok(Version(2)), "padding does no harm");
        assert!(query(&format!("cursor={cursor}")).after(Kind::Key).is_err());
        for bad in ["", "garbage", "Zw", "Zy0x", "%ff", "aVd2Yk54T2d2V0dFWE13R1l4R2k5UVE="] {
            assert!(after(bad).is_err(), "{bad}");
        }
    }
}
