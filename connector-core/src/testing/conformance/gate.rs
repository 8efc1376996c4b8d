//! The network between a connector and its service: counts what passes, and lets faults strike.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use jiff::{SignedDuration, Timestamp};

use super::odd::Odd;
use super::{ConformanceService, Push, Refusal};
use crate::clock::BoxFuture;
use crate::engine::{ConnectionRow, Write};
use crate::error::Result;
use crate::network::{NetworkPort, Request, Response, TransportError, UrlRules, host_and_path};
use crate::ports::Credentials;
use crate::secret::Secret;
use crate::testing::host::whole;
use crate::testing::{MemoryEngine, VirtualClock};

/// What strikes a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strike {
    /// 429.
    TooMany,
    /// A 5xx.
    Failed,
    /// No connection: nothing was sent.
    NoConnection,
    /// The service did it, and its answer did not come in time.
    Timeout,
    /// The service did it, and half of its answer came.
    Truncated,
    /// The host is killed before the request is sent.
    KillBefore,
    /// The host is killed when the service has done it.
    KillAfter,
    /// When the service has done it, the token is replaced by another: the old one is refused from then on.
    Rotate,
}

impl Strike {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::TooMany => "429",
            Self::Failed => "500",
            Self::NoConnection => "no connection",
            Self::Timeout => "a timeout",
            Self::Truncated => "a truncated answer",
            Self::KillBefore => "a kill before",
            Self::KillAfter => "a kill after",
            Self::Rotate => "another token after",
        }
    }
}

/// How long the client of the host tries again by itself: a fault strikes all of these attempts.
const LASTS: SignedDuration = SignedDuration::from_secs(2);

/// Seconds that a 429 says to wait.
pub(super) const RETRY_AFTER: u32 = 60;

/// A call of the connector.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) at: Timestamp,
    /// `GET /items`.
    pub(super) what: String,
    pub(super) is_write: bool,
    /// It changed what the service holds.
    pub(super) changed: bool,
    /// It registered an endpoint.
    pub(super) registered: bool,
    pub(super) struck: Option<Strike>,
}

/// The tokens that the kit gives out: one is valid at a time.
#[derive(Debug, Default)]
struct Keys {
    number: u32,
    revoked: bool,
}

const TOKEN: &str = "conformance-token-";

impl Keys {
    fn current(&self) -> String {
        format!("{TOKEN}{}.", self.number)
    }
}

struct State<S> {
    service: S,
    calls: Vec<Call>,
    /// What strikes which call, by its number.
    plan: Option<(usize, Strike)>,
    /// What strikes at the moment: requests like this one, until then.
    striking: Option<(Strike, String, Timestamp)>,
    /// Every write is refused, for good.
    rejects_writes: bool,
    /// Calls like these are refused, for good.
    rejects: Vec<String>,
    /// What a change leads to overtakes the answer to it: a call that changed something is held back until it is let go.
    holds: bool,
    holding: bool,
    exposed: Vec<String>,
    keys: Keys,
    /// An item with this title is odd, in this way, in each list.
    odd: Option<(&'static str, Odd)>,
    engine: Option<MemoryEngine>,
}

/// A clone is the same network.
pub(super) struct Gate<S> {
    state: Arc<Mutex<State<S>>>,
    clock: Arc<Mutex<Option<VirtualClock>>>,
}

impl<S> Clone for Gate<S> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), clock: Arc::clone(&self.clock) }
    }
}

impl<S: ConformanceService> Gate<S> {
    pub(super) fn new(service: S, plan: Option<(usize, Strike)>) -> Self {
        let state = State {
            service,
            calls: Vec::new(),
            plan,
            striking: None,
            rejects_writes: false,
            rejects: Vec::new(),
            holds: false,
            holding: false,
            exposed: Vec::new(),
            keys: Keys::default(),
            odd: None,
            engine: None,
        };
        Self { state: Arc::new(Mutex::new(state)), clock: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The host that is killed when a call says so.
    pub(super) fn attach(&self, engine: MemoryEngine, clock: VirtualClock) {
        self.state().engine = Some(engine);
        *self.clock.lock().unwrap_or_else(PoisonError::into_inner) = Some(clock);
    }

    fn now(&self) -> Timestamp {
        let clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        clock.as_ref().map_or(Timestamp::UNIX_EPOCH, VirtualClock::now)
    }

    pub(super) fn with<T>(&self, see: impl FnOnce(&mut S) -> T) -> T {
        see(&mut self.state().service)
    }

    /// This strikes the call so many from now.
    pub(super) fn plan(&self, after: usize, strike: Strike) {
        let mut state = self.state();
        state.plan = Some((state.calls.len() + after, strike));
    }

    /// Nothing strikes any more.
    pub(super) fn calm(&self) {
        let mut state = self.state();
        state.plan = None;
        state.striking = None;
    }

    /// How many calls there were.
    pub(super) fn count(&self) -> usize {
        self.state().calls.len()
    }

    /// The calls after the first so many.
    pub(super) fn calls_after(&self, count: usize) -> Vec<Call> {
        self.state().calls.iter().skip(count).cloned().collect()
    }

    /// Requests with the token where logs and proxies see it.
    pub(super) fn exposed(&self) -> Vec<String> {
        self.state().exposed.clone()
    }

    pub(super) fn reject_writes(&self, rejects: bool) {
        self.state().rejects_writes = rejects;
    }

    /// Calls like these are refused from now on.
    pub(super) fn reject(&self, rejects: Vec<String>) {
        self.state().rejects = rejects;
    }

    /// The item with this title is odd in each list, from now on.
    pub(super) fn odd(&self, odd: Option<(&'static str, Odd)>) {
        self.state().odd = odd;
    }

    /// Whether answers to changes are held back, from now on.
    pub(super) fn hold(&self, holds: bool) {
        self.state().holds = holds;
    }

    /// Whether an answer is held back at the moment.
    pub(super) fn is_holding(&self) -> bool {
        self.state().holding
    }

    pub(super) fn let_go(&self) {
        self.state().holding = false;
    }

    /// Something is going to strike.
    pub(super) fn is_planned(&self) -> bool {
        self.state().plan.is_some()
    }

    /// What the service has pushed.
    pub(super) fn take_pushes(&self) -> Vec<Push> {
        let now = self.now();
        self.with(|service| {
            service.pass(now);
            service.take_pushes()
        })
    }

    /// The endpoints that are registered with the service.
    pub(super) fn registrations(&self) -> Vec<String> {
        let now = self.now();
        self.with(|service| {
            service.pass(now);
            service.registrations()
        })
    }

    /// The token stops to work.
    pub(super) fn revoke(&self) {
        self.state().keys.revoked = true;
    }

    /// The user authorizes again, and gets another token.
    pub(super) fn restore(&self) -> Secret {
        let mut state = self.state();
        state.keys.revoked = false;
        state.keys.number += 1;
        Secret::new(state.keys.current())
    }

    pub(super) fn token(&self) -> Secret {
        Secret::new(self.state().keys.current())
    }
}

impl<S: ConformanceService> State<S> {
    fn send(&mut self, request: &Request, now: Timestamp) -> Result<Response, TransportError> {
        let url = || host_and_path(&request.url);
        // A request is struck while it is like the one that was struck first.
        let what = self.service.describe(request);
        let no_connection = || TransportError::NoConnection { url: url(), reason: "the host is dead".to_owned() };
        if self.engine.as_ref().is_some_and(MemoryEngine::is_stopped) {
            return Err(no_connection());
        }
        if self.plan.is_some_and(|(at, _)| at == self.calls.len())
            && let Some((_, strike)) = self.plan.take()
        {
            let until = now.checked_add(LASTS).unwrap_or(Timestamp::MAX);
            self.striking = Some((strike, what.clone(), until));
        }
        let strike = match &self.striking {
            Some((strike, like, until)) if *like == what && now <= *until => Some(*strike),
            _ => None,
        };
        let is_write = self.service.is_write(request);
        let place = self.calls.len();
        let rejected = (self.rejects_writes && is_write) || self.rejects.contains(&what);
        self.calls.push(Call { at: now, what, is_write, changed: false, registered: false, struck: strike });
        if request.url.as_str().contains(TOKEN) {
            self.exposed.push(url());
        }
        if !self.authorized(request) {
            return Ok(self.service.refuse(Refusal::Unauthorized));
        }
        match strike {
            Some(Strike::TooMany) => return Ok(self.service.refuse(Refusal::TooMany { seconds: RETRY_AFTER })),
            Some(Strike::Failed) => return Ok(self.service.refuse(Refusal::Failed)),
            Some(Strike::NoConnection) => {
                return Err(TransportError::NoConnection { url: url(), reason: "connection refused".to_owned() });
            }
            Some(Strike::KillBefore) => {
                self.kill();
                return Err(no_connection());
            }
            _ => {}
        }
        if rejected {
            return Ok(self.service.refuse(Refusal::Rejected));
        }
        self.service.pass(now);
        let (before, endpoints) = (self.service.items(), self.service.registrations().len());
        let mut response = self.service.answer(request, now);
        let changed = before != self.service.items();
        if let Some(call) = self.calls.get_mut(place) {
            call.changed = changed;
            call.registered = self.service.registrations().len() > endpoints;
        }
        self.holding |= self.holds && changed;
        if let Some((title, how)) = self.odd.filter(|_| !is_write) {
            how.strike(&mut response, title);
        }
        match strike {
            Some(Strike::Timeout) => Err(TransportError::Timeout { url: url(), limit: request.timeout }),
            Some(Strike::Truncated) => {
                response.body = response.body.slice(..response.body.len() / 2);
                Ok(response)
            }
            Some(Strike::KillAfter) => {
                self.kill();
                Err(no_connection())
            }
            Some(Strike::Rotate) => {
                self.keys.number += 1;
                Ok(response)
            }
            _ => Ok(response),
        }
    }

    fn kill(&mut self) {
        self.striking = None;
        if let Some(engine) = &self.engine {
            engine.kill();
        }
    }

    /// Whether no token of the kit that does not work any more is in the request.
    fn authorized(&self, request: &Request) -> bool {
        let current = self.keys.current();
        let mut seen = Vec::new();
        let mut look = |text: &[u8]| {
            let text = String::from_utf8_lossy(text);
            seen.extend(text.split(TOKEN).skip(1).filter_map(|rest| Some(rest.split_once('.')?.0.to_owned())));
        };
        look(request.url.as_str().as_bytes());
        look(&request.body.bytes().unwrap_or_default());
        for value in request.headers.values() {
            look(value.as_bytes());
        }
        seen.iter().all(|number| !self.keys.revoked && current == format!("{TOKEN}{number}."))
    }
}

impl<S: ConformanceService> NetworkPort for Gate<S> {
    fn send<'a>(&'a self, request: Request, rules: &'a UrlRules) -> BoxFuture<'a, Result<Response, TransportError>> {
        Box::pin(async move {
            let now = self.now();
            let request = whole(request).await?;
            if !rules.allows(&request.url) {
                return Err(TransportError::NotDeclared { url: host_and_path(&request.url) });
            }
            let answer = self.state().send(&request, now);
            let answer = answer.map(|response| Response { url: request.url, method: request.method, ..response });
            // Whoever lets it go polls it again.
            poll_fn(|_| if self.is_holding() { Poll::Pending } else { Poll::Ready(()) }).await;
            answer
        })
    }
}

impl<S: ConformanceService> Credentials for Gate<S> {
    fn token<'a>(&'a self, connection: &'a ConnectionRow) -> BoxFuture<'a, Result<Option<Secret>>> {
        Box::pin(async move {
            // That one was revoked, only the service knows.
            Ok(connection.credential.as_ref().map(|_| Gate::token(self)))
        })
    }

    fn replace<'a>(&'a self, _: &'a ConnectionRow, refused: &'a Secret) -> BoxFuture<'a, Result<Option<Secret>>> {
        Box::pin(async move {
            let current = Gate::token(self);
            Ok(Some(current).filter(|current| current != refused && !self.state().keys.revoked))
        })
    }

    fn release<'a>(&'a self, _: &'a ConnectionRow) -> BoxFuture<'a, Result<Vec<Write>>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}
