//! What a command that cannot go on says, and with which status it ends.

use crate::{catalogue, db, export, fetch, file, review};

/// How a command that could do its work ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Done, or all trusted: 0.
    Done,
    /// The answer is no: untrusted, drift, check failed: 1.
    No,
    /// Could not tell: network, disk, unreadable input: 3. Outranks "no".
    Unknown,
}

impl Outcome {
    /// The exit status.
    pub fn code(self) -> u8 {
        match self {
            Outcome::Done => 0,
            Outcome::No => 1,
            Outcome::Unknown => 3,
        }
    }
}

/// Which exit status an error has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The answer is no: 1.
    No,
    /// The command line is wrong: 2.
    Usage,
    /// Could not tell: 3.
    Unknown,
}

/// Why a command cannot go on.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: Kind,
    message: String,
    hint: Option<String>,
}

impl Error {
    /// An error of this kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    /// With what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The exit status.
    pub fn code(&self) -> u8 {
        match self.kind {
            Kind::No => 1,
            Kind::Usage => 2,
            Kind::Unknown => 3,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

fn with(kind: Kind, error: &dyn std::error::Error, hint: Option<&str>) -> Error {
    Error { kind, message: error.to_string(), hint: hint.map(str::to_owned) }
}

impl From<file::Error> for Error {
    fn from(error: file::Error) -> Self {
        let hint = match &error {
            file::Error::Folder { .. } => Some("give the files in it, such as FOLDER/*.cer"),
            file::Error::NotOurs { .. } => Some("give an empty or a new folder"),
            _ => None,
        };
        with(Kind::Unknown, &error, hint)
    }
}

impl From<db::Error> for Error {
    fn from(error: db::Error) -> Self {
        with(Kind::Unknown, &error, error.hint())
    }
}

impl From<review::Error> for Error {
    fn from(error: review::Error) -> Self {
        let kind = match &error {
            review::Error::NotAFingerprint(_) | review::Error::NoReason => Kind::Usage,
            review::Error::Database(_) => Kind::Unknown,
            _ => Kind::No,
        };
        with(kind, &error, error.hint())
    }
}

impl From<catalogue::Error> for Error {
    fn from(error: catalogue::Error) -> Self {
        with(Kind::Unknown, &error, Some("docs/catalogue.md describes the form"))
    }
}

impl From<export::ExportError> for Error {
    fn from(error: export::ExportError) -> Self {
        with(Kind::No, &error, Some("distrust one of the two: no manufacturer makes such certificates"))
    }
}

impl From<fetch::http::SetupError> for Error {
    fn from(error: fetch::http::SetupError) -> Self {
        with(Kind::Unknown, &error, Some("install the system's CA certificates, or give roots with --cacert"))
    }
}
