//! The two secrets a gateway begins with: the master key, and the operator's first management key.

use std::fs;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use admin::new_management_key;
use anyhow::{Context as _, bail};
use domain::edit::management_key::{self, ManagementKeyDraft};
use domain::{Clock, Credential, KeyHash, Rejection, Scope, edit};
use storage::{EditError, MasterKey, Store};

/// The environment variable with the master key, as 64 hexadecimal digits.
pub const MASTER_KEY_VARIABLE: &str = "TOLLGATE_MASTER_KEY";
/// The environment variable with the operator's key.
pub const MANAGEMENT_KEY_VARIABLE: &str = "TOLLGATE_MANAGEMENT_KEY";
/// The environment variable with the name of a file that holds the operator's key.
pub const MANAGEMENT_KEY_FILE_VARIABLE: &str = "TOLLGATE_MANAGEMENT_KEY_FILE";

const MASTER_KEY_FILE: &str = "master.key";
const OPERATOR_KEY_FILE: &str = "operator.key";
/// Characters of a given management key that may be shown.
const PREFIX_LEN: usize = 16;

/// The master key: from the environment, else from the data directory, where the first start puts it.
///
/// # Errors
/// A key that is not 64 hexadecimal digits, or a file that cannot be read or written.
pub fn master_key(data_dir: &Path, from_environment: Option<&str>) -> anyhow::Result<MasterKey> {
    if let Some(text) = from_environment {
        let bytes =
            unhex(text).with_context(|| format!("{MASTER_KEY_VARIABLE} is not 64 hexadecimal digits"))?;
        return Ok(MasterKey::from_bytes(bytes));
    }
    let path = data_dir.join(MASTER_KEY_FILE);
    if path.exists() {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let bytes = unhex(text.trim()).with_context(|| format!("{} is not a master key", path.display()))?;
        return Ok(MasterKey::from_bytes(bytes));
    }
    if Store::inspect(data_dir)?.exists {
        bail!(
            "the store in {} was made with a master key that is not there; put {MASTER_KEY_FILE} back or set \
             {MASTER_KEY_VARIABLE}",
            data_dir.display()
        );
    }
    let key = MasterKey::generate();
    write_private(&path, &hex(key.expose()))?;
    Ok(key)
}

/// What became of the operator's key at this start.
#[derive(Debug, PartialEq, Eq)]
pub enum OperatorKey {
    /// One was in force already, or the environment gives it.
    InForce,
    /// The first start made one and wrote it here.
    Written {
        /// The file.
        path: PathBuf,
        /// The key, to be shown on a terminal only.
        key: String,
    },
}

impl OperatorKey {
    /// Tells the person who started the gateway where the key is; the key itself only to a terminal.
    ///
    /// # Errors
    /// When standard error cannot be written.
    pub fn announce(&self) -> std::io::Result<()> {
        let Self::Written { path, key } = self else { return Ok(()) };
        let mut out = std::io::stderr();
        writeln!(out, "First start: the operator's key is in {}", path.display())?;
        if out.is_terminal() {
            writeln!(out, "  {key}")?;
        }
        Ok(())
    }
}

/// Sees to it that somebody can manage this gateway.
///
/// # Errors
/// A store that cannot be written; a key of the environment that is something else already.
pub async fn operator_key(
    store: &Store,
    clock: &dyn Clock,
    data_dir: &Path,
    from_environment: Option<&str>,
) -> anyhow::Result<OperatorKey> {
    let snapshot = store.snapshot();
    // Whatever the environment gave before and does not give now is no longer in force.
    let hash = from_environment.map(|key| store.vault().hash(key.as_bytes()));
    let given_before = snapshot.operator_keys().filter(|key| key.from_environment).map(|key| key.hash);
    let replaced: Vec<KeyHash> = given_before.filter(|before| Some(*before) != hash).collect();
    if let (Some(key), Some(hash)) = (from_environment, hash) {
        let new = match snapshot.credential(&hash) {
            Some(known) if is_operators(known) => None,
            Some(_) => {
                bail!("{MANAGEMENT_KEY_VARIABLE} is a key of less than an operator already; give another")
            }
            None => Some(given(key, hash)),
        };
        put(store, clock, new, replaced).await?;
        return Ok(OperatorKey::InForce);
    }
    if snapshot.operator_keys().any(|key| !key.from_environment) {
        put(store, clock, None, replaced).await?;
        return Ok(OperatorKey::InForce);
    }
    let (draft, key) = new_management_key(store.vault(), None, Scope::Operator);
    let path = data_dir.join(OPERATOR_KEY_FILE);
    write_private(&path, &key)?;
    put(store, clock, Some(management_key::OperatorKey { draft, from_environment: false }), replaced).await?;
    Ok(OperatorKey::Written { path, key })
}

/// Mints one more operator's key in the first workspace; the key.
///
/// # Errors
/// A store that cannot be written.
pub(crate) async fn recover(store: &Store, clock: &dyn Clock) -> anyhow::Result<String> {
    let (draft, key) = new_management_key(store.vault(), Some("recovered".into()), Scope::Operator);
    let prefix = draft.prefix.clone();
    put(store, clock, Some(management_key::OperatorKey { draft, from_environment: false }), Vec::new())
        .await?;
    tracing::warn!(key.prefix = %prefix, "an operator's key was minted on the machine itself");
    Ok(key)
}

fn is_operators(known: &Credential) -> bool {
    match known {
        Credential::Management(key) => key.scope == Scope::Operator,
        Credential::Federated(_) => false,
    }
}

/// An operator's key that the environment gives.
fn given(key: &str, hash: KeyHash) -> management_key::OperatorKey {
    let prefix = key.chars().take(PREFIX_LEN).collect::<String>().into();
    let draft = ManagementKeyDraft { prefix, hash, name: None, scope: Scope::Operator };
    management_key::OperatorKey { draft, from_environment: true }
}

/// An edit that changes nothing makes no version, so this may run at every start.
async fn put(
    store: &Store,
    clock: &dyn Clock,
    new: Option<management_key::OperatorKey>,
    replaced: Vec<KeyHash>,
) -> anyhow::Result<()> {
    let put = move |cx: &edit::Context<'_>| Ok((management_key::put_operator_key(cx, new, &replaced)?, ()));
    let put = store.edit(clock.now(), put).await;
    put.map_err(|error| match error {
        EditError::Rejected(Rejection::Invalid(why) | Rejection::Conflict(why)) => {
            anyhow::anyhow!("the operator's key is refused: {why}")
        }
        EditError::Rejected(Rejection::NotFound(why)) => {
            anyhow::anyhow!("the operator's key is refused: {why}")
        }
        EditError::Unavailable => anyhow::anyhow!("cannot store the operator's key: {error}"),
    })
}

pub(crate) fn check_given(key: &str) -> anyhow::Result<()> {
    let printable = key.bytes().all(|byte| byte.is_ascii_graphic());
    if !printable || !(32..=128).contains(&key.len()) {
        bail!("{MANAGEMENT_KEY_VARIABLE} has to be 32 to 128 printable ASCII characters without spaces");
    }
    Ok(())
}

fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| {
        writeln!(file, "{text}")?;
        file.sync_all()
    });
    written.with_context(|| format!("cannot write {}", path.display()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_survives_being_written_and_read() {
        let bytes: [u8; 32] = std::array::from_fn(|at| u8::try_from(at * 7).unwrap_or(255));
        assert_eq!(unhex(&hex(&bytes)), Some(bytes));
        for bad in ["", "00", &"g0".repeat(32), &"00".repeat(33), &"é0".repeat(16)] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }
}
