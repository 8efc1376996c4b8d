//! What can go wrong in a hook or callback, and what the host does about it.

use std::error::Error as StdError;
use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The result of a hook, a callback or a call on a context.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// What the host does about an error: the closed list of R6.6.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum ErrorKind {
    /// The credential does not work any more. The connection needs re-authorization; its tasks are parked, not lost.
    NeedsReauth,
    /// The credential lacks a scope. Kept as a dead letter; the connection shows what is missing.
    ScopeMissing {
        /// The scope that is missing, where the service says it.
        scope: Option<String>,
    },
    /// The thing no longer exists at the service. The task ends, without a retry.
    Gone,
    /// The service takes no more requests until then. The task is moved there, without counting as an attempt.
    RateLimited {
        /// When to try again.
        until: Timestamp,
    },
    /// Passes by itself: a network fault, a 5xx. Retried with exponential backoff and jitter.
    Transient,
    /// The service no longer knows the cursor. The sync starts again from its beginning, quietly, in recovery mode.
    CursorExpired,
    /// The service refused what the user did. The message is shown to the user; no retry.
    Rejected,
    /// The connector is wrong. Retried a few times in case it is not, then kept as a dead letter.
    Bug,
}

impl ErrorKind {
    /// The kind as one word, as it is stored and shown.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NeedsReauth => "needs_reauth",
            Self::ScopeMissing { .. } => "scope_missing",
            Self::Gone => "gone",
            Self::RateLimited { .. } => "rate_limited",
            Self::Transient => "transient",
            Self::CursorExpired => "cursor_expired",
            Self::Rejected => "rejected",
            Self::Bug => "bug",
        }
    }
}

/// An error of a hook or callback: a message for people, what to do about it, and what caused it.
///
/// `?` takes any other [`std::error::Error`] as [`ErrorKind::Transient`]; choose another kind with
/// the constructors here or with [`ResultExt::or_kind`].
///
/// ```
/// use connector_core::{Error, ErrorKind, Result};
///
/// fn parse(text: &str) -> Result<u32> {
///     Ok(text.parse()?)
/// }
/// assert_eq!(parse("x").unwrap_err().kind(), &ErrorKind::Transient);
/// assert_eq!(Error::rejected("the issue is locked").kind(), &ErrorKind::Rejected);
/// ```
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: ErrorKind,
    message: String,
    source: Option<Source>,
    /// The unit of work lost a race at commit and has to be run again; never seen by an author.
    conflict: bool,
    /// The dispatch has to wait for its place in the line for a quota; never seen by an author as something else than its kind.
    paced: bool,
    /// A walk that comes back to where it was; never seen by an author as something else than its kind.
    endless: bool,
}

impl Error {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { inner: Box::new(Inner { kind, message, source: None, conflict: false, paced: false, endless: false }) }
    }

    /// The credential does not work any more.
    pub fn needs_reauth(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NeedsReauth, message)
    }

    /// The credential lacks this scope.
    pub fn scope_missing(scope: impl Into<String>) -> Self {
        let scope = scope.into();
        Self::new(
            ErrorKind::ScopeMissing { scope: Some(scope.clone()) },
            format!("the scope `{scope}` was not granted: connect the account again and allow it"),
        )
    }

    /// The thing no longer exists at the service.
    pub fn gone(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Gone, message)
    }

    /// The service takes no more requests until then.
    pub fn rate_limited(until: Timestamp) -> Self {
        Self::new(ErrorKind::RateLimited { until }, format!("rate limited until {until}"))
    }

    /// Passes by itself.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Transient, message)
    }

    /// The service no longer knows the cursor.
    pub fn cursor_expired(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::CursorExpired, message)
    }

    /// The service refused what the user did; the message is for the user.
    pub fn rejected(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Rejected, message)
    }

    /// The connector, or what it was given, is wrong.
    pub fn bug(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Bug, message)
    }

    /// Another dispatch changed what this one read; the runner runs it again.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        let mut error = Self::transient(message);
        error.inner.conflict = true;
        error
    }

    /// The host leaves a service's quota to others until then.
    pub(crate) fn paced(until: Timestamp) -> Self {
        let mut error = Self::rate_limited(until);
        error.inner.paced = true;
        error
    }

    /// A walk comes back to where it was: the list that it walks over has no end (L32).
    pub(crate) fn endless(message: impl Into<String>) -> Self {
        let mut error = Self::rejected(message);
        error.inner.endless = true;
        error
    }

    pub(crate) fn is_endless(&self) -> bool {
        self.inner.endless
    }

    pub(crate) fn is_paced(&self) -> bool {
        self.inner.paced
    }

    pub(crate) fn is_conflict(&self) -> bool {
        self.inner.conflict
    }

    /// Adds what caused it.
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// Puts what was being done in front of the message.
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.inner.message = format!("{doing}: {}", self.inner.message);
        self
    }

    /// What the host does about it.
    pub fn kind(&self) -> &ErrorKind {
        &self.inner.kind
    }

    /// The message, without its causes.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// The first of its causes that is of this type.
    ///
    /// ```
    /// use connector_core::Error;
    ///
    /// let error = Error::from("x".parse::<u32>().unwrap_err());
    /// assert!(error.cause::<std::num::ParseIntError>().is_some());
    /// assert!(error.cause::<std::fmt::Error>().is_none());
    /// ```
    pub fn cause<E: StdError + 'static>(&self) -> Option<&E> {
        let first = self.inner.source.as_deref().map(|source| source as &(dyn StdError + 'static));
        std::iter::successors(first, |error| (*error).source()).find_map(|error| error.downcast_ref())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)?;
        let mut cause = self.inner.source.as_deref().map(|source| source as &dyn StdError);
        while let Some(error) = cause {
            let text = error.to_string();
            if !self.inner.message.contains(&text) {
                write!(f, ": {text}")?;
            }
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self}", self.inner.kind.as_str())
    }
}

// As in `anyhow`, the type itself is no `std::error::Error`, or the conversion below would overlap
// with the reflexive one.
impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        Self::new(ErrorKind::Transient, error.to_string()).with_source(error)
    }
}

/// Takes for an answer that something no longer exists.
pub trait GoneExt<T> {
    /// The value, or none if the error is [`ErrorKind::Gone`]; other errors stay.
    fn unless_gone(self) -> Result<Option<T>>;
}

impl<T> GoneExt<T> for Result<T> {
    fn unless_gone(self) -> Result<Option<T>> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(error) if *error.kind() == ErrorKind::Gone => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Chooses the kind of a foreign error.
pub trait ResultExt<T> {
    /// The value, or the error as one of this kind.
    fn or_kind(self, kind: ErrorKind) -> Result<T>;
}

impl<T, E: Into<Source>> ResultExt<T> for std::result::Result<T, E> {
    fn or_kind(self, kind: ErrorKind) -> Result<T> {
        self.map_err(|error| {
            let source = error.into();
            Error::new(kind, source.to_string()).with_source(source)
        })
    }
}
