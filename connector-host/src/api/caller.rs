//! Who makes a request, and what they may see and do.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use connector_core::engine::{ConnectionRow, LinkQuery, LinkRow, NoteRow};
use connector_core::id::{ConnectionId, LinkId, NoteId, ThreadId, UserId};
use connector_core::runtime::Requester;
use futures_util::{Stream, StreamExt, stream};
use jiff::Timestamp;
use tokio::sync::watch;

use super::problem::{Answer, Problem};
use crate::host::Host;
use crate::keys::Bearer;
use crate::sessions::Session;

/// Connections that are read at once.
const CONNECTIONS: usize = 1_000;

/// Who makes a request. Every handler takes one, or an [`Operator`], and asks it before it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Has an API key: the embedding product, or its operator. Sees everything, and acts for anyone.
    Operator,
    /// Has the token of a session: sees and does what this user may.
    User(UserId),
}

/// A caller with an API key; the token of a session does not do.
pub(crate) struct Operator;

/// What limits of requests are counted by: the key or the session's user, never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Identity(pub(crate) Arc<str>);

/// The valid token that a request came with. Whatever goes on for a while looks at it again where it is used: the
/// body of a request, a request that waits, and the body of a response end with their token.
#[derive(Clone)]
pub(crate) struct Permit {
    host: Host,
    token: Arc<str>,
    session: Option<Session>,
    /// Since before the token was looked at.
    changes: watch::Receiver<()>,
}

impl Permit {
    /// The session, if it is one.
    pub(crate) fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// Whether the token is valid still.
    async fn holds(&mut self) -> bool {
        match self.changes.has_changed() {
            Ok(false) => self.expires_at().is_none_or(|at| self.host.runtime().ports().clock.now() < at),
            _ => self.is_valid().await,
        }
    }

    async fn is_valid(&mut self) -> bool {
        self.changes.mark_unchanged();
        // While the store cannot be asked, nobody knows.
        matches!(self.host.bearer(&self.token).await, Ok(Some(_)))
    }

    fn expires_at(&self) -> Option<Timestamp> {
        self.session.as_ref().map(|session| session.expires_at)
    }

    /// Comes back when the token is no longer valid.
    async fn ended(mut self) {
        let clock = Arc::clone(&self.host.runtime().ports().clock);
        while self.holds().await {
            let expires_at = self.expires_at();
            let expired = async {
                match expires_at {
                    Some(at) => clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = self.changes.changed() => if changed.is_err() || !self.is_valid().await { return },
                () = expired => {}
            }
        }
    }

    /// A body that breaks off when the token ends, and then sets `ended`.
    fn guard_request(&self, request: Request, ended: &Arc<AtomicBool>) -> Request {
        if request.body().is_end_stream() {
            return request;
        }
        let ended = Arc::clone(ended);
        let over = move || {
            ended.store(true, Ordering::Relaxed);
            Some(Err(axum::Error::new("the token has ended")))
        };
        request.map(|body| Body::from_stream(self.guarded(body, over)))
    }

    /// A body that is made piece by piece ends with the token: a stream of events as if there were no more, any other
    /// breaks off, or it would be taken for whole.
    fn guard_response(&self, response: Response) -> Response {
        if response.body().size_hint().exact().is_some() {
            return response;
        }
        let content_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let has_events = content_type.is_some_and(|value| value.starts_with("text/event-stream"));
        let over = move || (!has_events).then(|| Err(axum::Error::new("the token has ended")));
        response.map(|body| Body::from_stream(self.guarded(body, over)))
    }

    /// The pieces of a body while the token is valid, also at the end of the body; then what `over` gives.
    fn guarded(
        &self,
        body: Body,
        over: impl FnOnce() -> Option<Result<Bytes, axum::Error>> + Send + 'static,
    ) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send + 'static {
        let ended: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(self.clone().ended());
        let begin = Some((body.into_data_stream(), self.clone(), ended, over));
        stream::unfold(begin, async |state| {
            let (mut pieces, mut permit, mut ended, over) = state?;
            let piece = tokio::select! {
                biased;
                () = &mut ended => return Some((over()?, None)),
                piece = pieces.next() => piece,
            };
            if !permit.holds().await {
                return Some((over()?, None));
            }
            Some((piece?, Some((pieces, permit, ended, over))))
        })
    }
}

/// Lets requests with a valid API key or session token through, for as long as it is valid.
pub(super) async fn authenticate(State(host): State<Host>, mut request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = given.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    let Some(token) = token else {
        return unauthorized("send an API key or the token of a session: `Authorization: Bearer KEY`");
    };
    let changes = host.token_changes();
    let (caller, identity, session) = match host.bearer(token).await {
        Ok(Some(Bearer::Key(hash))) => (Caller::Operator, format!("key:{hash}"), None),
        Ok(Some(Bearer::Session(session))) => {
            (Caller::User(session.user.clone()), format!("user:{}", session.user), Some(session))
        }
        Ok(None) => return unauthorized(INVALID),
        Err(error) => return Problem::from(error).into_response(),
    };
    let mut permit = Permit { token: token.into(), session, changes, host };
    request.extensions_mut().insert(caller);
    request.extensions_mut().insert(Identity(identity.into()));
    request.extensions_mut().insert(permit.clone());
    let ended = Arc::new(AtomicBool::new(false));
    let request = permit.guard_request(request, &ended);
    // What changes something is not broken off in the middle: the token was valid when the request was whole.
    let waits = matches!(*request.method(), Method::GET | Method::HEAD);
    let answering = next.run(request);
    let response = if waits {
        tokio::select! {
            biased;
            response = answering => if permit.holds().await { response } else { return unauthorized(INVALID) },
            () = permit.clone().ended() => return unauthorized(INVALID),
        }
    } else {
        answering.await
    };
    if ended.load(Ordering::Relaxed) { unauthorized(INVALID) } else { permit.guard_response(response) }
}

/// What is said to a token that does not open the API.
const INVALID: &str = "this API key is not valid or was revoked, or the session has ended";

fn unauthorized(detail: &str) -> Response {
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail);
    ([(header::WWW_AUTHENTICATE, "Bearer")], problem).into_response()
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Caller>().cloned();
        caller.ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "nobody has said who asks"))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Identity {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let identity = parts.extensions.get::<Self>().cloned();
        identity.ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "nobody has said who asks"))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Caller::from_request_parts(parts, state).await? {
            Caller::Operator => Ok(Self),
            Caller::User(_) => Err(Problem::forbidden("this takes an API key: the token of a session does not do")),
        }
    }
}

impl Caller {
    /// The user whose view it is; none for an operator.
    pub(crate) fn user(&self) -> Option<&UserId> {
        match self {
            Self::Operator => None,
            Self::User(user) => Some(user),
        }
    }

    /// On whose behalf the caller changes connections.
    pub(crate) fn requester(&self) -> Requester {
        match self {
            Self::Operator => Requester::Operator,
            Self::User(user) => Requester::User(user.clone()),
        }
    }

    /// A session acts as its own user.
    pub(crate) fn acts_as(&self, user: &UserId) -> Answer<()> {
        match self {
            Self::User(own) if own != user => {
                Err(Problem::forbidden(format!("this session is {own}'s, and cannot act as {user}")))
            }
            _ => Ok(()),
        }
    }

    /// Only an operator says who is in which workspace.
    pub(crate) fn may_name_workspaces(&self) -> Answer<()> {
        match self {
            Self::Operator => Ok(()),
            Self::User(_) => Err(Problem::forbidden(
                "connecting for a workspace takes an API key: the token of a session does not do",
            )),
        }
    }

    /// Whose view a list is: as it was asked for, or the session's own.
    pub(crate) fn view_of(&self, asked: Option<UserId>) -> Answer<Option<UserId>> {
        if let Some(user) = &asked {
            self.acts_as(user)?;
        }
        Ok(self.user().cloned().or(asked))
    }

    /// A connection that the caller may see; another user's is as if it were not there.
    pub(crate) async fn connection(&self, host: &Host, id: ConnectionId) -> Answer<Arc<ConnectionRow>> {
        let row = host.runtime().connection(id).await?;
        match self.user() {
            Some(user) if *user != row.owner => Err(no_such_connection(id)),
            _ => Ok(row),
        }
    }

    /// Whether what belongs to a connection may be seen.
    pub(crate) async fn sees(&self, host: &Host, connection: ConnectionId) -> Answer<bool> {
        let Some(user) = self.user() else { return Ok(true) };
        let row = host.engine().connection(connection).await?;
        Ok(row.is_some_and(|row| row.owner == *user))
    }

    /// A link of a connection that the caller may see.
    pub(crate) async fn link(&self, host: &Host, id: LinkId) -> Answer<LinkRow> {
        let missing = || Problem::not_found(format!("there is no link {id}"));
        let row = host.engine().link(id).await?.ok_or_else(missing)?;
        if self.sees(host, row.connection).await? { Ok(row) } else { Err(missing()) }
    }

    /// A note of a connection that the caller may see.
    pub(crate) async fn note(&self, host: &Host, id: NoteId) -> Answer<NoteRow> {
        let missing = || Problem::not_found(format!("there is no note {id}"));
        let row = host.engine().note(id).await?.ok_or_else(missing)?;
        if self.sees(host, row.connection).await? { Ok(row) } else { Err(missing()) }
    }

    /// A thread in which a connection that the caller may see has a link.
    pub(crate) async fn thread(&self, host: &Host, id: ThreadId) -> Answer<ThreadId> {
        let thread = host.engine().current_thread(id).await?;
        let mut query = LinkQuery::all(1);
        query.thread = Some(thread);
        query.archived = true;
        query.connections = connections_of(host, self.user()).await?;
        match host.engine().links(query).await?.is_empty() {
            true => Err(Problem::not_found(format!("there is no thread {id}"))),
            false => Ok(thread),
        }
    }
}

pub(super) fn no_such_connection(id: ConnectionId) -> Problem {
    Problem::not_found(format!("there is no connection {id}"))
}

/// The connections whose links are seen; none for all. A user sees what their own have synced (R8.3).
pub(super) async fn connections_of(host: &Host, user: Option<&UserId>) -> Answer<Option<Vec<ConnectionId>>> {
    let Some(user) = user else { return Ok(None) };
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let rows = host.engine().connections(Some(user.clone()), None, after, CONNECTIONS).await?;
        all.extend(rows.iter().map(|row| row.id));
        after = rows.last().map(|row| row.id);
        if rows.len() < CONNECTIONS {
            return Ok(Some(all));
        }
    }
}
