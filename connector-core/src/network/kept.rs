//! Answers that a dispatch got before a quota put it off, so that its next attempt goes on where it was.
//!
//! Code of a connector always runs from its beginning. When a quota puts a dispatch off in the middle, the answers of
//! the requests that may be repeated are kept in memory, and the next attempt of the same task gets them in place of
//! sending the requests again. So a step of any length ends, and asks for nothing twice. Nothing is kept of a dispatch
//! that ends in another way: an error of a service, or a crash, begins anew.
//!
//! Code whose requests differ in each attempt, as those with the present time in them, gets no further by that. Such
//! a dispatch waits for the quota in place in its next attempt, up to [`MAX_PATIENCE`].

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::{Request, Response};
use crate::engine::TaskPriority;
use crate::id::{ConnectionId, TaskId};

/// The longest that a dispatch waits for quotas in place, in all its waits together, where it cannot be put off.
pub(crate) const MAX_PATIENCE: SignedDuration = SignedDuration::from_mins(5);

/// Bytes of answers that are kept of one dispatch.
const MAX_BYTES: usize = 4 << 20;

/// Bytes of answers that are kept of all dispatches that are put off.
const MAX_ALL_BYTES: usize = 32 << 20;

/// How long answers are kept after the time to which the dispatch was put off.
const KEPT: SignedDuration = SignedDuration::from_mins(10);

/// What goes on where it was: one run of one task, or a call that a user waits for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum PutOff {
    /// One run of a task.
    Task(TaskId, Option<i64>),
    /// A hook that a user waits for, by its name.
    Call(ConnectionId, String),
}

impl PutOff {
    /// What a dispatch is known by; `None` for a call that is never made again.
    pub(crate) fn of(
        task: Option<TaskId>,
        run: Option<i64>,
        connection: ConnectionId,
        name: &str,
        lane: TaskPriority,
    ) -> Option<Self> {
        match task {
            Some(task) => Some(Self::Task(task, run)),
            None if lane == TaskPriority::User => Some(Self::Call(connection, name.to_owned())),
            None => None,
        }
    }
}

type Asked = [u8; 32];

/// The answers of all dispatches that are put off.
#[derive(Debug, Default)]
pub(crate) struct KeptAnswers {
    kept: Mutex<HashMap<PutOff, Kept>>,
}

#[derive(Debug)]
struct Kept {
    answers: Vec<(Asked, Response)>,
    bytes: usize,
    /// Requests that had an answer when it was put off.
    answered: usize,
    /// It got no further than the attempt before it.
    stalled: bool,
    until: Timestamp,
}

/// What one attempt has been answered.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// Answers of the attempt before this one, in their order.
    before: HashMap<Asked, VecDeque<Response>>,
    /// Requests that the attempt before this one had answers of.
    answered_before: usize,
    answers: Vec<(Asked, Response)>,
    bytes: usize,
    answered: usize,
    patient: bool,
}

impl KeptAnswers {
    /// What an attempt begins with.
    pub(crate) fn take(&self, of: &PutOff, now: Timestamp) -> Answers {
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            return Answers::default();
        }
        let Some(kept) = all.remove(of).filter(|kept| now <= kept.until) else { return Answers::default() };
        let mut before: HashMap<_, VecDeque<_>> = HashMap::new();
        for (asked, response) in kept.answers {
            before.entry(asked).or_default().push_back(response);
        }
        Answers { before, answered_before: kept.answered, patient: kept.stalled, ..Answers::default() }
    }

    /// Keeps what an attempt was answered, as it is put off until then.
    pub(crate) fn keep(&self, of: PutOff, answers: Answers, until: Timestamp, now: Timestamp) {
        if answers.answered == 0 {
            return;
        }
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, kept| now <= kept.until);
        let mut bytes: usize = all.values().map(|kept| kept.bytes).sum();
        while bytes + answers.bytes > MAX_ALL_BYTES {
            let first = all.iter().min_by_key(|(_, kept)| kept.until).map(|(of, _)| of.clone());
            let Some(dropped) = first.and_then(|first| all.remove(&first)) else { break };
            bytes -= dropped.bytes;
        }
        let Answers { answered_before, answers, bytes, answered, .. } = answers;
        let stalled = answered_before > 0 && answered <= answered_before;
        let until = until.checked_add(KEPT).unwrap_or(Timestamp::MAX);
        all.insert(of, Kept { answers, bytes, answered, stalled, until });
    }
}

impl Answers {
    /// The attempt cannot be put off with any gain.
    pub(crate) fn is_patient(&self) -> bool {
        self.patient
    }

    /// The attempt has to be let end: a request of it, which may not be repeated, was taken.
    pub(crate) fn cannot_repeat(&mut self) {
        self.patient = true;
    }

    /// The answer that the attempt before this one got to the same request.
    pub(crate) fn replay(&mut self, request: &Request) -> Option<Response> {
        if self.before.is_empty() {
            return None;
        }
        let asked = asked(request)?;
        let response = self.before.get_mut(&asked)?.pop_front()?;
        self.add(asked, &response);
        Some(response)
    }

    /// Notes the answer to a request that may be repeated.
    pub(crate) fn note(&mut self, request: &Request, response: &Response) {
        match asked(request) {
            Some(asked) => self.add(asked, response),
            None => self.answered += 1,
        }
    }

    fn add(&mut self, asked: Asked, response: &Response) {
        self.answered += 1;
        let bytes = response.body.len() + 1024;
        if self.bytes + bytes <= MAX_BYTES {
            self.bytes += bytes;
            self.answers.push((asked, response.clone()));
        }
    }
}

/// What tells a request from others; `None` for one whose body is a file. The account's token may be another meanwhile.
fn asked(request: &Request) -> Option<Asked> {
    let body = request.body.bytes()?;
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(request.method.as_str().as_bytes());
    part(request.url.as_str().as_bytes());
    part(&body);
    for (name, value) in request.headers.iter().filter(|(_, value)| !value.is_sensitive()) {
        part(name.as_str().as_bytes());
        part(value.as_bytes());
    }
    Some(hash.finalize().into())
}
