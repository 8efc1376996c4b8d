use crate::engine::{ConnectionRow, ConnectionStatus};
use crate::options::OptionErrors;
use crate::runtime::Runtime;
use crate::runtime::connections::{missing_options, needs_options};

/// Whether a connection works in this host, and if it does not, why.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// That of its row, unless this host cannot run the connection.
    pub status: ConnectionStatus,
    /// Why it does not work, for people.
    pub reason: Option<String>,
    /// What its options miss (R11.11).
    pub missing: OptionErrors,
}

impl Runtime {
    /// How a connection stands in this host: its connector may not be linked, or may declare other options by now.
    pub fn standing(&self, row: &ConnectionRow) -> Standing {
        let Some(connector) = self.shared.registry.get(row.connector.as_str()) else {
            let reason = Some(format!("the connector `{}` is not linked into this host", row.connector));
            return Standing { status: ConnectionStatus::Disabled, reason, missing: OptionErrors::default() };
        };
        let missing = missing_options(row, connector.declaration);
        if row.status == ConnectionStatus::Active && !missing.is_empty() {
            let reason = Some(needs_options(row.id, &missing));
            return Standing { status: ConnectionStatus::NeedsAttention, reason, missing };
        }
        Standing { status: row.status, reason: row.status_reason.clone(), missing }
    }
}
