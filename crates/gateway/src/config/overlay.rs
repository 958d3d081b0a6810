//! Laying one table of settings over another. What is not in the table below is unknown.

use anyhow::{Context as _, bail};
use toml::{Table, Value};

/// Lays the settings of `own` over `table`.
pub(super) fn put(table: &mut Table, own: Table) -> anyhow::Result<()> {
    for (section, settings) in own {
        let Value::Table(settings) = settings else { bail!("`{section}` stands outside of any [section]") };
        section_of(table, &section)?;
        for (key, value) in settings {
            *slot(table, &section, &key)? = value;
        }
    }
    Ok(())
}

/// Lays one setting over `table`: `SECTION__KEY`, its value read as the type that the default has.
pub(super) fn put_one(table: &mut Table, name: &str, text: &str) -> anyhow::Result<()> {
    let (section, key) = name.split_once("__").context("the form is TOLLGATE__SECTION__SETTING")?;
    let slot = slot(table, &section.to_ascii_lowercase(), &key.to_ascii_lowercase())?;
    *slot = match slot {
        Value::String(_) => Value::String(text.to_owned()),
        Value::Integer(_) => Value::Integer(text.parse().context("a whole number is wanted")?),
        Value::Boolean(_) => Value::Boolean(text.parse().context("true or false is wanted")?),
        Value::Array(_) => list(text)?,
        Value::Float(_) | Value::Datetime(_) | Value::Table(_) => bail!("this setting cannot be set here"),
    };
    Ok(())
}

fn list(text: &str) -> anyhow::Result<Value> {
    let read: Table =
        toml::from_str(&format!("list = {text}")).context("a list such as [\"A\", \"B\"] is wanted")?;
    read.get("list").cloned().context("a list is wanted")
}

fn slot<'a>(table: &'a mut Table, section: &str, key: &str) -> anyhow::Result<&'a mut Value> {
    let settings = section_of(table, section)?;
    settings.get_mut(key).with_context(|| format!("there is no setting {section}.{key}"))
}

fn section_of<'a>(table: &'a mut Table, section: &str) -> anyhow::Result<&'a mut Table> {
    let settings = table.get_mut(section).and_then(Value::as_table_mut);
    settings.with_context(|| format!("there is no section [{section}]"))
}
