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
mod reseal;
mod resume;
mod schedules;
mod standing;
mod upgrade;
mod views;
mod work;
mod write_back;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{self, Poll};

use tracing::Instrument;

use super::Runtime;
use crate::clock::BoxFuture;
use crate::engine::{CommitError, EngineError};
use crate::error::{Error, ErrorKind};
use crate::id::UserId;
use crate::options::OptionErrors;

pub use connect::{ChannelUpdate, ConnectRequest, ConnectionUpdate};
pub use files::Upload;
pub use products::{ProductState, ProductView};
pub(in crate::runtime) use reseal::IsOld;
pub use standing::Standing;
pub use views::TaskView;
pub use work::{Looking, Retrying, WorkState, WorkView};
pub use write_back::{Compose, LinkUpdate, NewUserNote};

impl Runtime {
    /// Runs an action of several steps to its end: a caller who goes away midway must not leave the service and the
    /// store apart, or one connection of a workspace behind the others.
    fn to_its_end<T, Work>(&self, action: impl FnOnce(Self) -> Work) -> ToItsEnd<T>
    where
        T: Send + 'static,
        Work: Future<Output = Result<T, ActionError>> + Send + 'static,
    {
        ToItsEnd { work: Some(Box::pin(action(self.clone()))) }
    }
}

/// An action that goes on as a task of its own when the future of its caller is dropped.
struct ToItsEnd<T: Send + 'static> {
    /// `None` once the action has ended.
    work: Option<BoxFuture<'static, Result<T, ActionError>>>,
}

impl<T: Send + 'static> Future for ToItsEnd<T> {
    type Output = Result<T, ActionError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        // An action that panics is over, too.
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(outcome)) => {
                self.work = None;
                Poll::Ready(outcome)
            }
            Err(panic) => {
                self.work = None;
                resume_unwind(panic)
            }
        }
    }
}

impl<T: Send + 'static> Drop for ToItsEnd<T> {
    fn drop(&mut self) {
        let Some(work) = self.work.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            tracing::warn!("an action ends midway, as the program does");
            return;
        };
        let span = tracing::Span::current();
        runtime.spawn(
            async move {
                if let Err(error) = work.await {
                    tracing::warn!("an action whose caller went away failed: {error}");
                }
            }
            .instrument(span),
        );
    }
}

/// On whose behalf a connection is changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Requester {
    /// The embedding product or its operator, who may change every connection.
    #[default]
    Operator,
    /// A user, who may change their own connections, and the credential of a workspace that they gave to it.
    User(UserId),
}

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
    /// The requester may see the thing, and not change it.
    #[error("{0}")]
    NotAllowed(String),
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
        if let Some(store) = error.cause::<EngineError>() {
            return Self::Engine(store.clone());
        }
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
