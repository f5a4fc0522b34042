//! The error type of the crate. Its kinds are grouped by what the caller can do.
//!
//! A message is built from the inside out: the function that fails gives the cause (`zstd: frame truncated at byte
//! 812`), and each caller adds the place that it knows with [`Error::at`] (`cannot decode chunk (0, 3) of
//! data.zarr/temperature: zstd: frame truncated at byte 812`).

use std::fmt;
use std::sync::Arc;

/// What a caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no such array, group, key or file: check the path.
    NotFound,
    /// The selection does not fit the array (rank, bounds, element type, buffer): change the call.
    InvalidSelection,
    /// The metadata contradict themselves or the specification: repair the file.
    InvalidMetadata,
    /// The data are valid, but need a codec, data type or feature that this build does not have.
    Unsupported,
    /// The stored bytes are damaged: fetch them again.
    CorruptData,
    /// The store failed: try again, or repair the store.
    Store,
    /// There is not enough memory: select less, or work on fewer threads.
    OutOfMemory,
    /// The call was interrupted. What it had stored before is stored.
    Interrupted,
}

impl ErrorKind {
    /// All kinds.
    pub const ALL: &[Self] = &[
        Self::NotFound,
        Self::InvalidSelection,
        Self::InvalidMetadata,
        Self::Unsupported,
        Self::CorruptData,
        Self::Store,
        Self::OutOfMemory,
        Self::Interrupted,
    ];
}

/// An error: its [kind](ErrorKind), and a message with place and cause.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    is_forbidden: bool,
}

/// The result of a function of this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Creates an error; the functions below are shorthands for each kind.
    pub fn new(kind: ErrorKind, cause: impl Into<String>) -> Self {
        Self { kind, message: cause.into(), source: None, is_forbidden: false }
    }

    /// Creates an [`ErrorKind::NotFound`].
    pub fn not_found(cause: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, cause)
    }

    /// Creates an [`ErrorKind::InvalidSelection`].
    pub fn selection(cause: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidSelection, cause)
    }

    /// Creates an [`ErrorKind::InvalidMetadata`].
    pub fn metadata(cause: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidMetadata, cause)
    }

    /// Creates an [`ErrorKind::Unsupported`].
    pub fn unsupported(cause: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, cause)
    }

    /// Creates an [`ErrorKind::CorruptData`].
    pub fn corrupt(cause: impl Into<String>) -> Self {
        Self::new(ErrorKind::CorruptData, cause)
    }

    /// Creates an [`ErrorKind::Store`].
    pub fn store(cause: impl Into<String>) -> Self {
        Self::new(ErrorKind::Store, cause)
    }

    /// Creates an [`ErrorKind::OutOfMemory`]. `what` could not be allocated, such as `12 bytes`.
    pub fn memory(what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::OutOfMemory, format!("not enough memory for {what}"))
    }

    /// Creates an [`ErrorKind::Interrupted`].
    pub fn interrupted(cause: impl Into<String>) -> Self {
        Self::new(ErrorKind::Interrupted, cause)
    }

    /// Adds the error of a store's or codec's implementation as the [source](std::error::Error::source).
    #[must_use]
    pub fn with_source(self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { source: Some(Arc::new(source)), ..self }
    }

    /// Puts the place before the message, unless the message already starts with it: some stores name the object
    /// themselves.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        let place = place.to_string();
        if !self.message.strip_prefix(&place).is_some_and(|rest| rest.starts_with(": ")) {
            self.message = format!("{place}: {}", self.message);
        }
        self
    }

    /// Marks the error as a denied access.
    #[must_use]
    pub fn forbidden(self) -> Self {
        Self { is_forbidden: true, ..self }
    }

    /// Whether access was denied. Some servers answer so for objects that do not exist.
    pub fn is_forbidden(&self) -> bool {
        self.is_forbidden
    }

    /// Returns the kind, which says what the caller can do.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the message: place and cause.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        if let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<Self>()) {
            return inner.clone();
        }
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            std::io::ErrorKind::OutOfMemory => ErrorKind::OutOfMemory,
            _ => ErrorKind::Store,
        };
        Self::new(kind, error.to_string())
    }
}

/// Adds the place to the error of a result; computed only if there is an error.
pub(crate) trait Place<T> {
    fn place<D: fmt::Display>(self, place: impl FnOnce() -> D) -> Result<T>;
}

impl<T> Place<T> for Result<T> {
    fn place<D: fmt::Display>(self, place: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|error| error.at(place()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_stands_there_once() {
        let error = Error::store("no answer").at("a/b").at("a/b").at("a").at("copy");
        assert_eq!(error.to_string(), "copy: a: a/b: no answer");
    }
}
