//! What users and the embedding product do: connect, choose channels, act on threads.
//!
//! A user's change is stored first; what carries it to the service is a task of the acting user's
//! own connection, stored with it (R9).

mod authorize;
mod connect;
mod disconnect;
mod files;
mod history;
mod invoke;
mod press;
mod products;
mod resume;
mod upgrade;
mod views;
mod work;
mod write_back;

use crate::engine::{CommitError, EngineError};
use crate::error::{Error, ErrorKind};
use crate::options::OptionErrors;

pub use connect::{ChannelUpdate, ConnectRequest, ConnectionUpdate};
pub use files::Upload;
pub use products::{ProductState, ProductView};
pub use views::TaskView;
pub use work::{Looking, Retrying, WorkState, WorkView};
pub use write_back::{Compose, LinkUpdate, NewUserNote};

/// Why something that a user asked for was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActionError {
    /// There is no such thing, or the user may not see it.
    #[error("{0}")]
    NotFound(String),
    /// What was asked for is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The options are wrong; every mistake, by field.
    #[error("the options are wrong: {0}")]
    Options(OptionErrors),
    /// It does not go together with what there is.
    #[error("{0}")]
    Conflict(String),
    /// A file is larger than the host takes.
    #[error("the file has more than {limit} bytes, which is as much as is taken")]
    TooLarge {
        /// Bytes.
        limit: u64,
    },
    /// The service, or the connector, said no.
    #[error("{}", .0)]
    Connector(ConnectorError),
    /// The store failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// An [`Error`] of a connector as a [`std::error::Error`].
#[derive(Debug)]
pub struct ConnectorError(pub Error);

impl std::fmt::Display for ConnectorError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for ConnectorError {}

impl From<Error> for ActionError {
    fn from(error: Error) -> Self {
        match error.kind() {
            _ if error.is_conflict() => Self::Conflict(format!("{error}: try again")),
            ErrorKind::Rejected => Self::Invalid(error.to_string()),
            _ => Self::Connector(ConnectorError(error)),
        }
    }
}

impl From<CommitError> for ActionError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Engine(error) => Self::Engine(error),
            other => Self::Conflict(format!("{other}: try again")),
        }
    }
}

impl From<OptionErrors> for ActionError {
    fn from(errors: OptionErrors) -> Self {
        Self::Options(errors)
    }
}
