//! How values look in a column. SQLite knows signed 64-bit integers, text and bytes.

use rusqlite::types::{FromSqlError, FromSqlResult, Value, ValueRef};
use rusqlite::{Row, RowIndex};
use serde::Serialize;
use serde::de::DeserializeOwned;

use domain::KeyHash;

/// An id: all 64 bits, so the larger half shows as negative numbers.
pub(crate) fn id(id: u64) -> i64 {
    id.cast_signed()
}

/// A number of things. What a signed column cannot hold is held as the most it can.
pub(crate) fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A value as JSON text.
pub(crate) fn json<T: Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// A plain enum as the word it serializes to.
pub(crate) fn word<T: Serialize>(value: &T) -> rusqlite::Result<Value> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(Value::Text(word)),
        Ok(serde_json::Value::Null) => Ok(Value::Null),
        Ok(_) => Err(rusqlite::Error::ToSqlConversionFailure("not a word".into())),
        Err(error) => Err(rusqlite::Error::ToSqlConversionFailure(Box::new(error))),
    }
}

pub(crate) fn read_id<I: RowIndex>(row: &Row<'_>, at: I) -> rusqlite::Result<u64> {
    row.get(at).map(i64::cast_unsigned)
}

pub(crate) fn read_count<I: RowIndex>(row: &Row<'_>, at: I) -> rusqlite::Result<u64> {
    row.get(at).map(|count: i64| u64::try_from(count).unwrap_or(0))
}

pub(crate) fn read_hash<I: RowIndex>(row: &Row<'_>, at: I) -> rusqlite::Result<KeyHash> {
    row.get(at).map(KeyHash)
}

/// A value that is JSON text.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> rusqlite::types::FromSql for Json<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?).map(Json).map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}

/// A plain enum from its word.
pub(crate) struct Word<T>(pub(crate) T);

impl<T: DeserializeOwned> rusqlite::types::FromSql for Word<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let word = serde_json::Value::from(value.as_str()?);
        serde_json::from_value(word).map(Word).map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}

/// A value in the form it prints in.
pub(crate) struct Parsed<T>(pub(crate) T);

impl<T: std::str::FromStr> rusqlite::types::FromSql for Parsed<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let parsed = value.as_str()?.parse();
        parsed.map(Parsed).map_err(|_| FromSqlError::Other("not in the form it was written in".into()))
    }
}

/// Adds `more` to a column. SQLite would turn a sum that is too large into a floating-point number.
macro_rules! plus {
    ($column:literal) => {
        concat!(
            $column,
            " = CASE WHEN ",
            $column,
            " > 9223372036854775807 - excluded.",
            $column,
            " THEN 9223372036854775807 ELSE ",
            $column,
            " + excluded.",
            $column,
            " END"
        )
    };
}
pub(crate) use plus;
