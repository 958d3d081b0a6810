//! Prices of the file that the configuration names: read at start and at SIGHUP, and put in the place of those it had
//! before. What a file says is kept in the store, so that a call finds all prices in one snapshot.
//!
//! Guarantees: a file that is wrong changes nothing. Begins at [`read`].

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use admin::{PriceMap, read_price_map};
use anyhow::{Context as _, bail};
use domain::{Clock, PriceBook, PriceSource, edit};
use storage::Store;

/// Longest price file, in bytes. The best known one has a fortieth of it.
const FILE_LEN_MAX: u64 = 64 << 20;

/// Reads a price file; nothing is in force yet.
///
/// # Errors
/// A file that cannot be read, is too long, or is no price map; named with the reason.
pub(crate) fn read(file: &Path) -> anyhow::Result<PriceMap> {
    let mut bytes = Vec::new();
    let opened = File::open(file).and_then(|file| file.take(FILE_LEN_MAX + 1).read_to_end(&mut bytes));
    let length = opened.with_context(|| format!("prices.file: cannot read {}", file.display()))?;
    if u64::try_from(length).is_ok_and(|length| length > FILE_LEN_MAX) {
        bail!("prices.file: {} is longer than {FILE_LEN_MAX} bytes; it is no price map", file.display());
    }
    read_price_map(&bytes).with_context(|| format!("prices.file: cannot take {}", file.display()))
}

/// The price file of a running gateway.
pub(crate) struct PriceFile {
    path: Option<PathBuf>,
    store: Store,
    clock: Arc<dyn Clock>,
}

impl PriceFile {
    /// Puts what was read of the file in force; without a file, the prices of a former one go.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub(crate) async fn start(
        path: Option<PathBuf>,
        read: Option<PriceMap>,
        (store, clock): (Store, Arc<dyn Clock>),
    ) -> anyhow::Result<Self> {
        let file = Self { path, store, clock };
        if let Some(PriceMap { book, skipped }) = &read {
            tracing::info!(prices = book.0.len(), skipped, "prices read from their file");
        }
        file.put(read.map(|read| read.book).unwrap_or_default()).await?;
        Ok(file)
    }

    /// Whether there is one.
    pub(crate) fn is_set(&self) -> bool {
        self.path.is_some()
    }

    /// Reads the file again, and logs what became of it.
    pub(crate) async fn reload(&self) {
        let Some(path) = &self.path else { return };
        match self.reread(path).await {
            Ok(prices) => tracing::info!(prices, "SIGHUP: the price file is in force as it is now"),
            Err(error) => {
                let cause = format!("{error:#}");
                tracing::error!(
                    cause,
                    "SIGHUP: the price file is not taken; the former prices stay in force"
                );
            }
        }
    }

    async fn reread(&self, path: &Path) -> anyhow::Result<usize> {
        let PriceMap { book, .. } = read(path)?;
        let prices = book.0.len();
        self.put(book).await?;
        Ok(prices)
    }

    /// An edit that changes nothing makes no version, so this may run at every start.
    async fn put(&self, book: PriceBook) -> anyhow::Result<()> {
        let put = |cx: &edit::Context<'_>| Ok((edit::prices::replace(cx, PriceSource::File, book), ()));
        self.store.edit(self.clock.now(), put).await.context("cannot store the prices of prices.file")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_too_long_for_a_price_map_is_not_read_to_its_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(FILE_LEN_MAX + 1).unwrap();
        let error = format!("{:#}", read(file.path()).unwrap_err());
        assert!(error.contains("prices.file") && error.contains("is longer than 67108864 bytes"), "{error}");
    }
}
