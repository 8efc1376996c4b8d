use connector_core::engine::{CommitError, EngineError};
use rusqlite::ErrorCode;

/// What stopped a statement, before it is told to people.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fail {
    /// SQLite said so.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    /// A row does not hold what it must.
    #[error("{0}")]
    Damaged(String),
    /// A file of the database is not the one that was opened.
    #[error("{0}")]
    Replaced(String),
}

/// Why a set was not applied: refused by its own conditions, or the store failed.
#[derive(Debug)]
pub(super) enum Refusal {
    Refused(CommitError),
    Fail(Fail),
}

impl From<CommitError> for Refusal {
    fn from(error: CommitError) -> Self {
        Self::Refused(error)
    }
}

impl From<Fail> for Refusal {
    fn from(error: Fail) -> Self {
        Self::Fail(error)
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::Fail(Fail::Sql(error))
    }
}

impl Fail {
    fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Sql(error) => error.sqlite_error_code(),
            Self::Damaged(_) | Self::Replaced(_) => None,
        }
    }

    /// Every other set would meet it too: the disk, not what was to be written, is the reason.
    pub(super) fn concerns_all(&self) -> bool {
        matches!(self, Self::Replaced(_))
            || matches!(
                self.code(),
                Some(
                    ErrorCode::DiskFull
                        | ErrorCode::SystemIoFailure
                        | ErrorCode::ReadOnly
                        | ErrorCode::DatabaseBusy
                        | ErrorCode::DatabaseLocked
                        | ErrorCode::CannotOpen
                        | ErrorCode::NotADatabase
                        | ErrorCode::OutOfMemory
                )
            )
    }

    /// The error as it is shown, for this database.
    pub(super) fn into_engine(self, database: &str) -> EngineError {
        let database = database.to_owned();
        let reason = self.to_string();
        match (&self, self.code()) {
            (Self::Replaced(_), _) => EngineError::NotWritable {
                database,
                reason: format!(
                    "{reason}, so nothing more is stored. Put it back or restore a backup: first stop this process, and start it again after that"
                ),
            },
            (Self::Damaged(_), _) | (_, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)) => {
                EngineError::Corrupt { database, reason }
            }
            (Self::Sql(rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::FromSqlConversionFailure(..)), _) => {
                EngineError::Corrupt { database, reason }
            }
            (_, Some(ErrorCode::DiskFull)) => EngineError::NotWritable {
                database,
                reason: format!("{reason}. Free some space on its disk; nothing was lost, and no restart is needed"),
            },
            (_, Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen)) => {
                EngineError::NotWritable {
                    database,
                    reason: format!(
                        "{reason}. The user of this process must be allowed to write the file and its directory"
                    ),
                }
            }
            (_, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)) => {
                EngineError::Failed(format!("{database} is locked by another program that has it open: {reason}"))
            }
            _ => EngineError::Failed(format!("{database}: {reason}")),
        }
    }
}
