//! `tollgate openapi`: the document of all routes. Needs no gateway and no configuration.

use super::output::say_json;
use crate::openapi;

pub(super) fn run() -> anyhow::Result<()> {
    say_json(&openapi::document())
}
