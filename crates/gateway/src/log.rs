//! Log lines: one per event, to standard error.

use std::io::IsTerminal;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;

use crate::config::{LogFormat, LogLevel, LogSection};

/// Starts logging. A second call changes nothing, so that tests may start many gateways.
pub(crate) fn start(section: &LogSection) {
    let level = match section.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let json = match section.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let lines = fmt().with_max_level(level).with_target(false).with_writer(std::io::stderr);
    let _ = if json { lines.json().flatten_event(true).try_init() } else { lines.try_init() };
}
