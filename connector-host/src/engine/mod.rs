//! Where a host stores its connections, their state, tasks and records.

pub mod sqlite;

pub use sqlite::{SqliteEngine, SqliteOptions};
