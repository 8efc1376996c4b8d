//! Bounds of what each caller may use (`docs/limits.md` lists all of them, with their settings).
//!
//! A caller is the holder of an API key, or a user with all of their sessions. What is counted here is in memory only:
//! it is of this process, and starts from nothing with it. Each map has entries only for callers that have something
//! under way, so that callers who come and go leave nothing.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use connector_core::id::UserId;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api::{Caller, Identity};
use crate::config::Limits;

/// Requests a second of a user's sessions, where the configuration does not say.
const SESSION_REQUESTS: NonZeroU32 = NonZeroU32::MIN.saturating_add(49);

/// Seconds of requests that a caller may save up.
const BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(3);

/// Bytes of answers to requests with an `Idempotency-Key` that are kept whole of one caller and one day.
const ANSWER_BYTES: u64 = 64 << 20;

/// A bound of one kind: for the holder of an API key, and for the sessions of a user.
#[derive(Debug, Clone, Copy)]
struct Bound {
    key: u32,
    session: u32,
    key_setting: &'static str,
    session_setting: &'static str,
}

impl Bound {
    fn of(&self, caller: &Caller) -> (u32, &'static str) {
        match caller {
            Caller::Operator => (self.key, self.key_setting),
            Caller::User(_) => (self.session, self.session_setting),
        }
    }
}

/// A bound that a caller has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reached {
    /// The largest number that is taken.
    pub(crate) maximum: u32,
    /// The setting that says so.
    pub(crate) setting: &'static str,
}

/// Counts what each caller uses.
pub(crate) struct CallerLimits {
    keys: Option<DefaultKeyedRateLimiter<Identity>>,
    sessions: DefaultKeyedRateLimiter<Identity>,
    clock: DefaultClock,
    request_bound: Bound,
    requests: Held<Identity>,
    stream_bound: Bound,
    streams: Held<Identity>,
    search_bound: Bound,
    searches: Turns,
    webhook_bound: u32,
    webhooks: Held<Arc<str>>,
    answers: Mutex<KeptAnswers>,
    uploads: Sums<UserId>,
}

impl CallerLimits {
    pub(crate) fn new(limits: &Limits) -> Self {
        let limiter =
            |rate: NonZeroU32| RateLimiter::keyed(Quota::per_second(rate).allow_burst(rate.saturating_mul(BURST)));
        let count = |set: Option<NonZeroU32>, default: u32| set.map_or(default, NonZeroU32::get);
        Self {
            keys: limits.key_requests.map(limiter),
            sessions: limiter(limits.session_requests.unwrap_or(SESSION_REQUESTS)),
            clock: DefaultClock::default(),
            request_bound: Bound {
                key: count(limits.key_concurrency, 256),
                session: count(limits.session_concurrency, 32),
                key_setting: "limits.key_concurrency",
                session_setting: "limits.session_concurrency",
            },
            requests: Held::default(),
            stream_bound: Bound {
                key: count(limits.key_streams, 64),
                session: count(limits.session_streams, 16),
                key_setting: "limits.key_streams",
                session_setting: "limits.session_streams",
            },
            streams: Held::default(),
            search_bound: Bound {
                key: count(limits.key_searches, 4),
                session: count(limits.session_searches, 1),
                key_setting: "limits.key_searches",
                session_setting: "limits.session_searches",
            },
            searches: Turns::default(),
            webhook_bound: count(limits.hook_concurrency, 32),
            webhooks: Held::default(),
            answers: Mutex::default(),
            uploads: Sums::default(),
        }
    }

    /// Takes one request of those that the caller has each second, or says how long until there is one to take.
    pub(crate) fn take(&self, caller: &Caller, identity: &Identity) -> Result<(), Duration> {
        let limiter = match caller {
            Caller::Operator => self.keys.as_ref(),
            Caller::User(_) => Some(&self.sessions),
        };
        let Some(limiter) = limiter else { return Ok(()) };
        limiter.check_key(identity).map_err(|until| until.wait_time_from(self.clock.now()))
    }

    /// Counts a request until the permit is dropped.
    pub(crate) fn request(&self, caller: &Caller, identity: &Identity) -> Result<Permit<Identity>, Reached> {
        let (maximum, setting) = self.request_bound.of(caller);
        self.requests.take(identity, maximum).ok_or(Reached { maximum, setting })
    }

    /// Counts a stream of changes, or a request that waits for one, until the permit is dropped.
    pub(crate) fn stream(&self, caller: &Caller, identity: &Identity) -> Result<Permit<Identity>, Reached> {
        let (maximum, setting) = self.stream_bound.of(caller);
        self.streams.take(identity, maximum).ok_or(Reached { maximum, setting })
    }

    /// Waits until one more read of the caller that may look at many rows can run. Such reads of one caller run one
    /// after the other, so that those of another wait for one of them at most. How many wait is bounded by the
    /// requests that a caller may have at once.
    pub(crate) async fn search(&self, caller: &Caller, identity: &Identity) -> Turn<'_> {
        self.searches.take(identity, self.search_bound.of(caller).0).await
    }

    /// Counts a webhook of one URL until the permit is dropped.
    pub(crate) fn webhook(&self, url: &Arc<str>) -> Result<Permit<Arc<str>>, Reached> {
        let maximum = self.webhook_bound;
        self.webhooks.take(url, maximum).ok_or(Reached { maximum, setting: "limits.hook_concurrency" })
    }

    /// Counts bytes of an upload of a user that is under way, until the share is dropped.
    pub(crate) fn upload(&self, user: &UserId, bytes: u64) -> Share<UserId> {
        let mut share = Share { sums: Arc::clone(&self.uploads), owner: user.clone(), amount: 0 };
        share.add(bytes);
        share
    }

    /// Whether an answer of this many bytes is kept whole, as one of those of a caller and a day.
    pub(crate) fn keeps_answer(&self, identity: &Identity, day: i64, bytes: u64) -> bool {
        let mut answers = lock(&self.answers);
        if answers.day != day {
            *answers = KeptAnswers { day, bytes: HashMap::new() };
        }
        let kept = answers.bytes.entry(identity.clone()).or_default();
        let fits = kept.saturating_add(bytes) <= ANSWER_BYTES;
        if fits {
            *kept += bytes;
        }
        fits
    }

    /// Forgets callers that have all of their requests again.
    pub(crate) fn forget(&self) {
        self.sessions.retain_recent();
        if let Some(keys) = &self.keys {
            keys.retain_recent();
        }
    }
}

/// Bytes of whole answers that were kept on one day, by caller.
#[derive(Default)]
struct KeptAnswers {
    day: i64,
    bytes: HashMap<Identity, u64>,
}

type Counts<K> = Arc<Mutex<HashMap<K, u32>>>;

/// How much of one kind each owner holds.
struct Held<K>(Counts<K>);

impl<K> Default for Held<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Hash + Eq + Clone> Held<K> {
    fn take(&self, owner: &K, maximum: u32) -> Option<Permit<K>> {
        let mut counts = lock(&self.0);
        let count = counts.entry(owner.clone()).or_default();
        if *count >= maximum {
            return None;
        }
        *count += 1;
        Some(Permit { counts: Arc::clone(&self.0), owner: owner.clone() })
    }
}

/// One of those that an owner may hold; dropping it gives it back.
#[must_use = "it is given back when it is dropped"]
pub(crate) struct Permit<K: Hash + Eq> {
    counts: Counts<K>,
    owner: K,
}

impl<K: Hash + Eq> Drop for Permit<K> {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        if let Some(count) = counts.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.owner);
            }
        }
    }
}

type Sums<K> = Arc<Mutex<HashMap<K, u64>>>;

/// What one of several adds to the sum of an owner; dropping it takes that off again.
pub(crate) struct Share<K: Hash + Eq + Clone> {
    sums: Sums<K>,
    owner: K,
    amount: u64,
}

impl<K: Hash + Eq + Clone> Share<K> {
    /// Adds to it.
    pub(crate) fn add(&mut self, amount: u64) {
        self.amount = self.amount.saturating_add(amount);
        let mut sums = lock(&self.sums);
        let sum = sums.entry(self.owner.clone()).or_default();
        *sum = sum.saturating_add(amount);
    }

    /// The sum of all shares of the owner.
    pub(crate) fn of_all(&self) -> u64 {
        lock(&self.sums).get(&self.owner).copied().unwrap_or_default()
    }
}

impl<K: Hash + Eq + Clone> Drop for Share<K> {
    fn drop(&mut self) {
        let mut sums = lock(&self.sums);
        if let Some(sum) = sums.get_mut(&self.owner) {
            *sum = sum.saturating_sub(self.amount);
            if *sum == 0 {
                sums.remove(&self.owner);
            }
        }
    }
}

/// Lines in which what one caller asks for waits for its turn.
#[derive(Default)]
struct Turns(Mutex<HashMap<Identity, Arc<Semaphore>>>);

impl Turns {
    async fn take(&self, identity: &Identity, maximum: u32) -> Turn<'_> {
        let size = usize::try_from(maximum).unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS);
        let line = lock(&self.0).entry(identity.clone()).or_insert_with(|| Arc::new(Semaphore::new(size))).clone();
        let mut turn = Turn { turns: self, identity: identity.clone(), permit: None };
        // A line is never closed, so there is always a permit.
        turn.permit = line.acquire_owned().await.ok();
        turn
    }
}

/// The turn of a caller, which ends when it is dropped.
#[must_use = "the turn ends when it is dropped"]
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    identity: Identity,
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut lines = lock(&self.turns.0);
        self.permit = None;
        // Whoever waits in the line holds it too.
        if lines.get(&self.identity).is_some_and(|line| Arc::strong_count(line) == 1) {
            lines.remove(&self.identity);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn user(name: &str) -> (Caller, Identity) {
        (Caller::User(UserId::new(name)), Identity(format!("user:{name}").into()))
    }

    #[tokio::test]
    async fn searches_of_one_caller_run_one_after_the_other() {
        let limits = CallerLimits::new(&Limits::default());
        let (ada, bob) = (user("ada"), user("bob"));
        let first = limits.search(&ada.0, &ada.1).await;
        let mut second = Box::pin(limits.search(&ada.0, &ada.1));
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(second.as_mut().poll(cx))).await;
        assert!(polled.is_pending());
        drop(limits.search(&bob.0, &bob.1).await);
        let given_up = Box::pin(limits.search(&ada.0, &ada.1));
        drop(first);
        drop(given_up);
        drop(second.await);
        assert!(lock(&limits.searches.0).is_empty(), "nothing is left of callers who have gone");
    }

    #[test]
    fn permits_come_back_and_leave_nothing() {
        let held = Held::<Identity>::default();
        let ada = Identity("user:ada".into());
        let permits: Vec<_> = (0..3).map_while(|_| held.take(&ada, 2)).collect();
        assert_eq!(permits.len(), 2);
        drop(permits);
        assert!(held.take(&ada, 1).is_some());
        assert!(lock(&held.0).is_empty());
    }

    #[test]
    fn answers_of_a_caller_are_kept_whole_up_to_a_sum() {
        let limits = CallerLimits::new(&Limits::default());
        let (ada, bob) = (user("ada").1, user("bob").1);
        assert!(limits.keeps_answer(&ada, 1, ANSWER_BYTES));
        assert!(!limits.keeps_answer(&ada, 1, 1));
        assert!(limits.keeps_answer(&bob, 1, 1));
        assert!(limits.keeps_answer(&ada, 2, 1), "the next day");
    }

    #[test]
    fn shares_of_an_owner_add_up_until_they_are_dropped() {
        let limits = CallerLimits::new(&Limits::default());
        let ada = UserId::new("ada");
        let one = limits.upload(&ada, 3);
        let mut two = limits.upload(&ada, 4);
        two.add(5);
        assert_eq!(one.of_all(), 12);
        drop(one);
        assert_eq!(two.of_all(), 9);
        drop(two);
        assert!(lock(&limits.uploads).is_empty());
    }
}
