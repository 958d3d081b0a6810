//! Why there is no answer, or no whole one.

use std::{fmt, io};

/// Why an exchange failed. Nothing in it was said by the server, nor by a caller.
#[derive(Debug)]
pub enum Fault {
    /// The request could not be sent.
    Write(io::Error),
    /// The answer could not be read.
    Read(io::Error),
    /// The server closed the connection before it answered.
    Closed,
    /// The server closed the connection within its answer.
    Cut,
    /// What came is not an answer, or one whose end is in doubt.
    Garbage(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(error) => write!(f, "the request could not be sent: {error}"),
            Self::Read(error) => write!(f, "the answer could not be read: {error}"),
            Self::Closed => f.write_str("closed before an answer"),
            Self::Cut => f.write_str("closed within the answer"),
            Self::Garbage(what) => write!(f, "not an HTTP answer: {what}"),
        }
    }
}

impl std::error::Error for Fault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Write(error) | Self::Read(error) => Some(error),
            Self::Closed | Self::Cut | Self::Garbage(_) => None,
        }
    }
}
