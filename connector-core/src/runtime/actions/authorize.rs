//! How a connection gets its credential: the first time, and again (R1.2, R1.4, R3.1, R3.7).

use std::sync::Arc;

use futures_util::FutureExt;

use super::connect::Probed;
use super::{ActionError, Requester};
use crate::credential::{self, Credential};
use crate::declaration::{Declaration, ScopeGroup};
use crate::engine::{
    CommitError, ConnectionRow, ConnectionStatus, FeedEntry, FeedKind, KeyedTask, SecretRow, Write, WriteSet,
};
use crate::error::Error;
use crate::id::{ConnectionId, TaskId, UserId};
use crate::records::RecordIntent;
use crate::registry::RegisteredConnector;
use crate::runtime::Runtime;
use crate::runtime::claims::{MAX_NUMBER, is_default_name, name_claim, not_stored, numbered, rename};
use crate::runtime::dispatching::recovery;
use crate::runtime::payload::TaskPayload;
use crate::secret::Secret;
use crate::unit_of_work::UnitOfWork;

/// What a connection is admitted with.
pub(super) enum Admitted {
    /// A credential that is not stored yet.
    Offered(Credential),
    /// The credential of its workspace.
    Stored(Credential),
    /// Nothing: the connector needs no credential, or has its key among the options.
    Without,
}

/// Connections that are looked through at once.
const PAGE: usize = 500;

/// The optional scope groups that a user has chosen.
pub(super) fn chosen_groups(declaration: &Declaration, chosen: Option<&[String]>) -> Result<Vec<String>, ActionError> {
    let optional = declaration.scopes.optional;
    let ids = |groups: &mut dyn Iterator<Item = &ScopeGroup>| groups.map(|group| group.id.to_owned()).collect();
    let Some(chosen) = chosen else { return Ok(ids(&mut optional.iter().filter(|group| group.default))) };
    if let Some(unknown) = chosen.iter().find(|id| !optional.iter().any(|group| group.id == **id)) {
        let known: Vec<String> = ids(&mut optional.iter());
        let known = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
        let name = declaration.name;
        return Err(ActionError::Invalid(format!("{name} has no scope group `{unknown}`: {known}")));
    }
    Ok(ids(&mut optional.iter().filter(|group| chosen.iter().any(|id| id == group.id))))
}

impl Runtime {
    /// The scopes that a connection asks its provider for: the required ones, and those of the chosen groups.
    pub fn scopes_to_ask(&self, row: &ConnectionRow) -> Result<Vec<String>, ActionError> {
        let connector = self.connector(&row.connector)?;
        let mut scopes: Vec<String> = connector.scopes().into_iter().map(str::to_owned).collect();
        let groups = connector.declaration.scopes.optional.iter();
        for scope in
            groups.filter(|group| row.scope_groups.iter().any(|id| id == group.id)).flat_map(|group| group.scopes)
        {
            if !scopes.iter().any(|known| known == scope) {
                scopes.push((*scope).to_owned());
            }
        }
        Ok(scopes)
    }

    /// Gives a connection its credential, or another one. It is tried first. A connection that awaited it
    /// is activated; one that needed it again goes on, and makes up for what it missed (R3.7). The credential of a
    /// workspace is replaced by its installer or an operator alone: [`ActionError::NotAllowed`] for other members.
    pub async fn authorize(
        &self,
        id: ConnectionId,
        credential: Credential,
        requester: &Requester,
    ) -> Result<Arc<ConnectionRow>, ActionError> {
        let requester = requester.clone();
        self.to_its_end(move |runtime| async move {
            // A provider gives a credential once: that a task has changed the connection meanwhile must not lose it.
            runtime.with_latest(id, |row| runtime.admit_credential(row, credential.clone(), &requester).boxed()).await
        })
        .await
    }

    async fn admit_credential(
        &self,
        row: Arc<ConnectionRow>,
        credential: Credential,
        requester: &Requester,
    ) -> Result<Arc<ConnectionRow>, ActionError> {
        let connector = self.connector(&row.connector)?;
        if connector.declaration.provider.is_none() {
            let name = connector.declaration.name;
            return Err(ActionError::Invalid(format!("{name} has no provider, so it takes no token")));
        }
        self.admit(ConnectionRow::clone(&row), Admitted::Offered(credential), Vec::new(), requester).await
    }

    /// Gives a connection another token, of which nothing else is known, on behalf of the operator.
    pub async fn reauthorize(&self, id: ConnectionId, token: Secret) -> Result<Arc<ConnectionRow>, ActionError> {
        self.authorize(id, Credential::new(token), &Requester::Operator).await
    }

    /// Says on a connection why it was not authorized.
    pub async fn authorization_failed(&self, id: ConnectionId, reason: &str) -> Result<(), ActionError> {
        let before = self.connection(id).await?;
        if !matches!(before.status, ConnectionStatus::AwaitingAuthorization | ConnectionStatus::NeedsReauth) {
            return Ok(());
        }
        let row = ConnectionRow { status_reason: Some(reason.to_owned()), ..ConnectionRow::clone(&before) };
        let put = Write::PutConnection { row: Box::new(row), expect: Some(before.version) };
        let feed = Write::Feed(FeedEntry::new(FeedKind::Connection, id, id));
        self.shared.ports.engine.commit(WriteSet { connection: Some(id), ..WriteSet::of([put, feed]) }).await?;
        Ok(())
    }

    /// The credential of this name.
    pub(super) async fn stored_credential(&self, name: &str) -> Result<Option<Credential>, ActionError> {
        let ports = &self.shared.ports;
        let Some(secret) = ports.engine.secret(name.to_owned()).await? else { return Ok(None) };
        let credential = Credential::open(&*ports.vault, name, &secret.sealed)?;
        // One that the provider has refused is no credential for another connection.
        Ok(Some(credential).filter(|credential| credential.refused.is_none()))
    }

    /// Whether the requester may give this connection a credential: [`ActionError::NotAllowed`] if it is that of a
    /// workspace, which another user has given.
    pub async fn may_authorize(&self, row: &ConnectionRow, requester: &Requester) -> Result<(), ActionError> {
        let connector = self.connector(&row.connector)?;
        let name = credential::name(row, connector.declaration);
        let stored = self.shared.ports.engine.secret(name).await?;
        self.may_replace(row, stored.as_ref(), requester).await
    }

    /// The same, where the credential was just read. No credential yet: the first one to give it is its installer.
    async fn may_replace(
        &self,
        row: &ConnectionRow,
        stored: Option<&SecretRow>,
        requester: &Requester,
    ) -> Result<(), ActionError> {
        let shared_by = row.workspace.as_ref().filter(|_| stored.is_some_and(|stored| stored.connection.is_none()));
        let (Requester::User(user), Some(workspace), Some(stored)) = (requester, shared_by, stored) else {
            return Ok(());
        };
        let installer = self.installer(row, stored).await?;
        if installer.as_ref() == Some(user) {
            return Ok(());
        }
        let who = installer.map_or_else(|| "an operator".to_owned(), |installer| format!("{installer} or an operator"));
        let name = self.connector(&row.connector)?.declaration.name;
        Err(ActionError::NotAllowed(format!(
            "the workspace {workspace} has one credential for {name}, which {user} did not give to it: {who} can replace it"
        )))
    }

    /// The user who gave a workspace its credential.
    async fn installer(&self, row: &ConnectionRow, stored: &SecretRow) -> Result<Option<UserId>, ActionError> {
        let ports = &self.shared.ports;
        // One that cannot be opened any more names nobody.
        let credential = Credential::open(&*ports.vault, &stored.name, &stored.sealed);
        if let Ok(Credential { installer: Some(installer), .. }) = credential {
            return Ok(Some(installer));
        }
        // Before credentials named their installer, the first connection brought it.
        let mut after = None;
        loop {
            let rows = ports.engine.connections(None, Some(row.connector.clone()), after, PAGE).await?;
            let Some(last) = rows.last() else { return Ok(None) };
            after = Some(last.id);
            if let Some(first) = rows.iter().find(|one| one.credential.as_deref() == Some(stored.name.as_str())) {
                return Ok(Some(first.owner.clone()));
            }
        }
    }

    /// Tries a credential, and makes the connection active with it; `also` is stored along with it.
    pub(super) async fn admit(
        &self,
        row: ConnectionRow,
        with: Admitted,
        also: Vec<Write>,
        requester: &Requester,
    ) -> Result<Arc<ConnectionRow>, ActionError> {
        let (shared, id) = (&self.shared, row.id);
        if let Admitted::Offered(_) = with {
            // Before the service is asked anything with it.
            self.may_authorize(&row, requester).await?;
        }
        let connector = self.connector(&row.connector)?;
        let first = row.status == ConnectionStatus::AwaitingAuthorization;
        let (known_account, known_tenant) = (row.account.id.clone(), row.account.tenant.clone());
        let named = !is_default_name(&row.name, connector.declaration);
        let mut row = row;
        // Over its limits it stays suspended, whatever its credential: an operator decides (R6.7).
        let suspended = row.status == ConnectionStatus::Suspended;
        if !suspended {
            row.status = ConnectionStatus::Active;
            row.status_reason = None;
        }
        let (credential, stored) = match with {
            Admitted::Offered(credential) => (Some(credential), false),
            Admitted::Stored(credential) => (Some(credential), true),
            Admitted::Without => (None, false),
        };
        row.asked_scopes = match &credential {
            Some(credential) if !credential.asked_scopes.is_empty() => credential.asked_scopes.clone(),
            _ => self.scopes_to_ask(&row)?,
        };
        row.account.scopes = row.asked_scopes.clone();
        if let Some(credential) = &credential {
            row.credential = Some(credential::name(&row, connector.declaration));
            if let Some(granted) = &credential.scopes {
                declined(&connector, granted)?;
                row.account.scopes.clone_from(granted);
            }
            row.account.extra = credential.extra.clone();
            // What comes with a token says whose it is; a bare one is asked for its own.
            row.account.tenant.clone_from(&credential.tenant);
            row.account.id = credential.account_id.clone().or(row.account.id);
            row.account.name = credential.account_name.clone().or(row.account.name);
        }
        let token = credential.as_ref().map(|credential| credential.access_token.clone());
        let Probed { name, identity, tenant, channels, wrote } = self.probe(&row, token.as_ref()).await?;
        row.account.tenant = tenant.or(known_tenant);
        if let Some(name) = name {
            row.account.name = Some(name);
        }
        let default_name = row.account.name.clone().unwrap_or_else(|| connector.declaration.name.to_owned());
        let chooses_name = first && !named;
        if chooses_name {
            rename(&mut row, default_name.clone());
        }
        if let Some(mut identity) = identity {
            identity.user = Some(row.owner.clone());
            row.account.id = Some(identity.id.clone());
            row.identity = Some(identity);
        }
        if let (false, Some(known), Some(now)) = (first, &known_account, &row.account.id)
            && known != now
        {
            let name = &row.name;
            return Err(ActionError::Conflict(format!(
                "this is the account {now}, and the connection {name} is one of {known}: authorize that account, or make another connection"
            )));
        }
        let mut set = if first {
            row.connector_version = connector.declaration.version.to_owned();
            self.activation(&row, token.as_ref(), &channels, wrote).await?
        } else {
            let mut set = WriteSet { connection: Some(id), ..WriteSet::default() };
            set.writes.push(Write::PutConnection { row: Box::new(row.clone()), expect: Some(row.version) });
            set.writes.extend(written_while_authorized(wrote, id)?);
            set.writes.extend(recovery(&*shared.ports.engine, &row, &connector).await?);
            set
        };
        set.writes.extend(also);
        if row.workspace.is_some() && row.credential.is_some() && !stored {
            let task = TaskPayload::ShareCredential.task(TaskId::from_number(shared.ports.engine.take_ids(1)), id)?;
            set.writes.push(Write::PutTask { task, keyed: KeyedTask::Replace });
        }
        if let (Some(credential), false, Some(name)) = (&credential, stored, &row.credential) {
            let before = shared.ports.engine.secret(name.clone()).await?;
            // Another member may have given one meanwhile; a later one is a conflict.
            self.may_replace(&row, before.as_ref(), requester).await?;
            let connection = Some(id).filter(|_| *name == format!("credential/{}", id.number()));
            let installer = Some(row.owner.clone()).filter(|_| connection.is_none());
            let sealed = Credential { installer, ..credential.clone() }.seal(&*shared.ports.vault, name)?;
            let secret = SecretRow { name: name.clone(), connection, sealed, expires_at: None, version: 0 };
            set.writes.push(Write::PutSecret { row: secret, expect: before.map(|before| before.version) });
        }
        let mut number = 1;
        loop {
            match shared.ports.engine.commit(set.clone()).await {
                Ok(_) => break,
                Err(CommitError::Taken { claim, .. })
                    if chooses_name && claim == name_claim(&row) && number < MAX_NUMBER =>
                {
                    number += 1;
                    rename(&mut row, numbered(&default_name, number));
                    set.writes.iter_mut().for_each(|write| take_name(write, &row));
                }
                Err(error) => return Err(not_stored(error, &row, connector.declaration)),
            }
        }
        self.connection(id).await
    }
}

/// What hooks have written while an account was authorized again.
fn written_while_authorized(mut wrote: UnitOfWork, connection: ConnectionId) -> Result<Vec<Write>, ActionError> {
    // The channels are those that the host knows, until it looks for new ones.
    if wrote.records.iter().any(|record| !matches!(record, RecordIntent::Channels(_))) {
        let message = "items cannot be saved while an account is authorized again: save them in a sync";
        return Err(Error::bug(message).into());
    }
    Ok(wrote.drain(connection).1)
}

/// The connection's row among the writes gets the name of `row`, and its claims.
fn take_name(write: &mut Write, row: &ConnectionRow) {
    if let Write::PutConnection { row: put, .. } = write {
        put.name.clone_from(&row.name);
        put.claims.clone_from(&row.claims);
    }
}

/// A required scope that the user declined fails the connection, by its name (R1.2).
fn declined(connector: &RegisteredConnector, granted: &[String]) -> Result<(), ActionError> {
    let missing: Vec<_> =
        connector.scopes().into_iter().filter(|scope| !granted.iter().any(|granted| granted == scope)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let (name, missing) = (connector.declaration.name, missing.join("`, `"));
    Err(ActionError::Invalid(format!("{name} needs `{missing}`, which was not granted: connect again, and allow it")))
}
