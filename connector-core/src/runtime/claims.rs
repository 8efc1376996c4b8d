//! What is unique among connections: the names of a user's connections to one connector, and the only instance of a
//! connector without `multiple_instances`, of which there is one for each user, and one more for each workspace that
//! the user names.
//!
//! Both are [claims](ConnectionRow::claims) of the row, so the commit decides between requests that come at the same
//! time. What is looked at before a commit only makes errors come early.

use serde_json::json;

use super::{ActionError, Runtime};
use crate::declaration::Declaration;
use crate::engine::{CommitError, ConnectionRow, ConnectionStatus, Write, WriteSet};
use crate::id::{ConnectionId, ConnectorId};

/// Connections that are read at once.
const PAGE: usize = 500;

/// Numbers that are tried to tell a connection from others with the same default name.
pub(super) const MAX_NUMBER: u32 = 1_000;

/// The claim to a name.
pub(super) fn name_claim(row: &ConnectionRow) -> String {
    json!(["name", row.connector, row.owner, row.name.trim()]).to_string()
}

/// The claim to be the only instance in its scope.
fn instance_claim(row: &ConnectionRow) -> String {
    json!(["instance", row.connector, row.owner, row.workspace]).to_string()
}

/// The claims of a connection; none for one that is disconnected.
pub(super) fn claims_of(row: &ConnectionRow, declaration: &Declaration) -> Vec<String> {
    if row.status == ConnectionStatus::Disabled {
        return Vec::new();
    }
    let instance = (!declaration.multiple_instances).then(|| instance_claim(row));
    instance.into_iter().chain([name_claim(row)]).collect()
}

/// Gives a connection another name, and the claim to it.
pub(super) fn rename(row: &mut ConnectionRow, name: String) {
    let before = name_claim(row);
    row.claims.retain(|claim| *claim != before);
    row.name = name;
    row.claims.push(name_claim(row));
}

/// A default name with a number, which the first one goes without.
pub(super) fn numbered(name: &str, number: u32) -> String {
    if number < 2 { name.to_owned() } else { format!("{name} {number}") }
}

/// Whether nobody chose the name of a connection: it is the connector's, with a number or without.
pub(super) fn is_default_name(name: &str, declaration: &Declaration) -> bool {
    let rest = name.strip_prefix(declaration.name);
    rest.is_some_and(|rest| {
        rest.is_empty() || rest.strip_prefix(' ').is_some_and(|number| number.parse::<u32>().is_ok())
    })
}

/// The error of a user whose connection has a name that another one has.
pub(super) fn name_taken(row: &ConnectionRow, by: ConnectionId, declaration: &Declaration) -> ActionError {
    ActionError::Conflict(format!(
        "{} has a connection to {} that is named `{}` already ({by}): choose another name",
        row.owner, declaration.name, row.name
    ))
}

/// The error of a user who has the only instance already.
pub(super) fn instance_taken(row: &ConnectionRow, by: ConnectionId, declaration: &Declaration) -> ActionError {
    let (scope, each) = match &row.workspace {
        Some(workspace) => (format!(" in the workspace {workspace}"), "user and workspace"),
        None => (String::new(), "user"),
    };
    ActionError::Conflict(format!(
        "{} has a connection to {} already{scope} ({by}), and it allows one for each {each}: disconnect that one first",
        row.owner, declaration.name
    ))
}

/// The error of a user whose connection was not stored.
pub(super) fn not_stored(error: CommitError, row: &ConnectionRow, declaration: &Declaration) -> ActionError {
    match error {
        CommitError::Taken { claim, by } if claim == name_claim(row) => name_taken(row, by, declaration),
        CommitError::Taken { by, .. } => instance_taken(row, by, declaration),
        CommitError::RecordConflict => ActionError::Conflict(format!(
            "the connection {} to {} was changed by another request at the same time: try again",
            row.id, declaration.name
        )),
        other => other.into(),
    }
}

impl Runtime {
    /// Gives the connections of an earlier version their claims, in the order of their ids, and again when a
    /// connector allows another number of instances than before. A connection whose claim an older one has goes
    /// without. Returns the number of connections that were changed.
    pub async fn claim_connections(&self) -> Result<usize, ActionError> {
        let (shared, mut changed) = (&self.shared, 0);
        let engine = &shared.ports.engine;
        for connector in shared.registry.iter() {
            let declaration = connector.declaration;
            let setting = format!("claims/{}", declaration.id);
            let value: &[u8] = if declaration.multiple_instances { b"multiple" } else { b"single" };
            if engine.setting(setting.clone()).await?.is_some_and(|known| known == value) {
                continue;
            }
            let (id, mut after) = (ConnectorId::from_static(declaration.id), None);
            loop {
                let rows = engine.connections(None, Some(id.clone()), after, PAGE).await?;
                let Some(last) = rows.last() else { break };
                after = Some(last.id);
                for row in rows {
                    changed += usize::from(self.claim(&row, declaration).await?);
                }
            }
            let value = Some(value.to_vec().into());
            engine.commit(WriteSet::of([Write::PutSetting { name: setting, value }])).await?;
        }
        Ok(changed)
    }

    async fn claim(&self, listed: &ConnectionRow, declaration: &Declaration) -> Result<bool, ActionError> {
        let mut current = Some(listed.clone());
        let mut lost = Vec::new();
        while let Some(before) = current.take() {
            let mut row = before.clone();
            row.claims = claims_of(&row, declaration);
            row.claims.retain(|claim| !lost.contains(claim));
            if row.claims == before.claims {
                return Ok(false);
            }
            let (id, expect) = (row.id, Some(row.version));
            let put = Write::PutConnection { row: Box::new(row), expect };
            match self.shared.ports.engine.commit(WriteSet { connection: Some(id), ..WriteSet::of([put]) }).await {
                Ok(_) => return Ok(true),
                Err(CommitError::Taken { claim, by }) => {
                    tracing::warn!(connection = %id, %by, claim, "two connections have what only one may have");
                    lost.push(claim);
                    current = Some(before);
                }
                Err(CommitError::RecordConflict) => {
                    let row = self.shared.ports.engine.connection(id).await?;
                    current = row.map(|row| ConnectionRow::clone(&row));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }
}
