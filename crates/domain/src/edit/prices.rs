//! Prices: all those of one source at once.

use std::sync::Arc;

use super::{Change, Context, Record};
use crate::price::{PriceBook, PriceSource};

/// Puts these prices in the place of all that the source had. Nothing is written if they are the same.
#[must_use]
pub fn replace(cx: &Context<'_>, source: PriceSource, book: PriceBook) -> Change {
    if *cx.snapshot.prices(source) == book {
        return Change::none(cx);
    }
    Change::of(cx, Record::Prices { source, book: Arc::new(book) })
}
