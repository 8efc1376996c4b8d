//! Answers that an attempt of a dispatch got, so that its next attempt goes on where it was.
//!
//! Code of a connector always runs from its beginning. When a quota puts a dispatch off in the middle, the answers of
//! the requests that may be repeated are kept in memory, and the next attempt of the same task gets them in place of
//! sending the requests again. So a step of any length ends, and asks for nothing twice.
//!
//! A request that may not be repeated, and that has succeeded, is not sent again by any later attempt of the same run
//! (L40): a dispatch that fails behind it, by whatever error, keeps the answers up to the last such request. The next
//! attempt gets those, and asks anew for what came after. An attempt whose request is another one than that which the
//! attempt before it sent must not send it: what a user creates is then of unknown delivery. So it is after a crash,
//! which loses the answers; the store has a mark that it was sent. Nothing is kept of a dispatch that fails without such
//! a request: it begins anew.
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
    answers: Vec<Noted>,
    /// Requests that may not be repeated, and whose answers could not be kept.
    lost_writes: usize,
    bytes: usize,
    /// Requests that had an answer when it was put off.
    answered: usize,
    /// It got no further than the attempt before it.
    stalled: bool,
    until: Timestamp,
}

/// An answer that can be given again.
#[derive(Debug)]
struct Noted {
    asked: Asked,
    response: Response,
    /// The request may not be repeated.
    write: bool,
}

/// What one attempt has been answered.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// Answers of the attempt before this one, in their order.
    before: HashMap<Asked, VecDeque<Noted>>,
    /// Requests that may not be repeated, that an attempt before this one has sent, and that this one has not come to.
    owed: usize,
    /// Those of them whose answers could not be kept.
    lost_writes: usize,
    /// Requests that the attempt before this one had answers of.
    answered_before: usize,
    answers: Vec<Noted>,
    bytes: usize,
    answered: usize,
    patient: bool,
}

/// How an attempt ended whose answers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeptFor {
    /// A quota put it off: it goes on where it was.
    Quota,
    /// It failed, or its commit did: it goes on behind its last request that may not be repeated.
    Failure,
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
        let owed = kept.owed();
        for noted in kept.answers {
            before.entry(noted.asked).or_default().push_back(noted);
        }
        let Kept { lost_writes, answered: answered_before, stalled: patient, .. } = kept;
        Answers { before, owed, lost_writes, answered_before, patient, ..Answers::default() }
    }

    /// Whether the next attempt gets answers to requests that may not be repeated.
    pub(crate) fn has_writes(&self, of: &PutOff, now: Timestamp) -> bool {
        let all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(of).is_some_and(|kept| now <= kept.until && kept.owed() > 0)
    }

    /// Keeps what an attempt was answered, for one that is due then.
    pub(crate) fn keep(&self, of: PutOff, mut answers: Answers, ended: KeptFor, until: Timestamp, now: Timestamp) {
        if ended == KeptFor::Failure {
            answers.go_back_to_the_last_write();
        }
        if answers.answered == 0 && answers.owed == 0 && answers.lost_writes == 0 {
            return;
        }
        // What it has not come to is still to be given.
        if answers.owed > 0 {
            let before = std::mem::take(&mut answers.before);
            let left: Vec<_> = before.into_values().flatten().collect();
            answers.bytes += left.iter().map(Noted::bytes).sum::<usize>();
            answers.answers.extend(left);
        }
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, kept| now <= kept.until);
        let mut bytes: usize = all.values().map(|kept| kept.bytes).sum();
        while bytes + answers.bytes > MAX_ALL_BYTES {
            let first = all.iter().min_by_key(|(_, kept)| kept.until).map(|(of, _)| of.clone());
            let Some(dropped) = first.and_then(|first| all.remove(&first)) else { break };
            bytes -= dropped.bytes;
        }
        let Answers { answered_before, answers, bytes, answered, lost_writes, .. } = answers;
        let stalled = ended == KeptFor::Quota && answered_before > 0 && answered <= answered_before;
        let until = until.checked_add(KEPT).unwrap_or(Timestamp::MAX);
        all.insert(of, Kept { answers, lost_writes, bytes, answered, stalled, until });
    }
}

impl Kept {
    fn owed(&self) -> usize {
        self.answers.iter().filter(|noted| noted.write).count() + self.lost_writes
    }
}

impl Noted {
    fn bytes(&self) -> usize {
        self.response.body.len() + 1024
    }
}

impl Answers {
    /// The attempt cannot be put off with any gain.
    pub(crate) fn is_patient(&self) -> bool {
        self.patient
    }

    /// Whether an attempt before this one has sent a request that may not be repeated, and this one has not come to it.
    pub(crate) fn owes_writes(&self) -> bool {
        self.owed > 0
    }

    /// Whether this attempt, or one before it, has sent a request that may not be repeated and that succeeded.
    pub(crate) fn has_writes(&self) -> bool {
        self.owed > 0 || self.lost_writes > 0 || self.answers.iter().any(|noted| noted.write)
    }

    /// Notes the answer to a request that may not be repeated and that succeeded. The attempt has to be let end.
    pub(crate) fn note_write(&mut self, request: &Request, response: Option<&Response>) {
        self.patient = true;
        let kept = asked(request).zip(response).is_some_and(|(asked, response)| self.add(asked, response, true));
        if !kept {
            self.answered += 1;
            self.lost_writes += 1;
        }
    }

    /// The last request that may not be repeated has not succeeded, as its answer says: it may be sent again.
    pub(crate) fn forget_last_write(&mut self) {
        match self.answers.iter().rposition(|noted| noted.write) {
            Some(last) => drop(self.answers.remove(last)),
            None => self.lost_writes = self.lost_writes.saturating_sub(1),
        }
    }

    fn go_back_to_the_last_write(&mut self) {
        if self.owed == 0 {
            let end = self.answers.iter().rposition(|noted| noted.write).map_or(0, |last| last + 1);
            self.answers.truncate(end);
            self.bytes = self.answers.iter().map(Noted::bytes).sum();
            self.answered = end;
        }
    }

    /// The answer that the attempt before this one got to the same request.
    pub(crate) fn replay(&mut self, request: &Request) -> Option<Response> {
        if self.before.is_empty() {
            return None;
        }
        let asked = asked(request)?;
        let Noted { response, write, .. } = self.before.get_mut(&asked)?.pop_front()?;
        self.add(asked, &response, write);
        if write {
            self.owed = self.owed.saturating_sub(1);
            self.patient = true;
        }
        Some(response)
    }

    /// Notes the answer to a request that may be repeated.
    pub(crate) fn note(&mut self, request: &Request, response: &Response) {
        match asked(request) {
            Some(asked) => drop(self.add(asked, response, false)),
            None => self.answered += 1,
        }
    }

    /// Whether there was room for it.
    fn add(&mut self, asked: Asked, response: &Response, write: bool) -> bool {
        let noted = Noted { asked, response: response.clone(), write };
        let bytes = noted.bytes();
        let fits = self.bytes + bytes <= MAX_BYTES;
        if fits {
            self.bytes += bytes;
            self.answers.push(noted);
        }
        if fits || !write {
            self.answered += 1;
        }
        fits
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
