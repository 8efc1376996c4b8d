//! One limiter for each quota of a provider account, learned from what the service says (L11).
//!
//! A quota is what one account may ask of one host in a window of time. Its size, what is left of it
//! and when it is whole again come from the rate-limit headers; where a service has none, they follow
//! from when it began to refuse, and until when. All connections of the account share it.
//!
//! Users and pushes take what there is, as long as there is any. Incremental work and backfills do so
//! while more than half is left; the rest they spread over the remaining time, first come first served,
//! and leave a reserve for users that shrinks to nothing as the window ends. So all of a quota is
//! used where there is enough to do, and a user hardly ever meets an empty one. Work that has to wait
//! long is moved to its place in the line, in place of waiting there with a worker in hand.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use url::Url;

use super::Response;
use super::retry_after::{Headers, SaidQuota};
use crate::engine::TaskPriority;
use crate::id::ConnectionId;

/// A dispatch that has sent nothing yet waits so long; to wait longer, it is moved.
const SHORT_WAIT: SignedDuration = SignedDuration::from_secs(1);

/// One that would do again what it has done waits longer, and so does a user's.
const LONG_WAIT: SignedDuration = SignedDuration::from_secs(20);

/// Times of one reset that are told apart: services round, and say it as seconds from now.
const SAME_RESET: SignedDuration = SignedDuration::from_secs(2);

/// Places in a line are forgotten when nobody has taken them for so long.
const FORGOTTEN: SignedDuration = SignedDuration::from_mins(1);

/// Quotas that are kept in memory; beyond it, those that limit nothing are forgotten.
const MAX_QUOTAS: usize = 10_000;

/// All quotas of a host.
#[derive(Debug, Default)]
pub(crate) struct RateLimiter {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    quotas: HashMap<QuotaKey, Quota>,
    /// The part of the service's quota that the first segment of a path belongs to, where the service says it.
    parts: HashMap<QuotaKey, String>,
}

/// What shares a quota: an account, a host, and a part of the service where it has quotas for several.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct QuotaKey {
    account: String,
    host: String,
    part: String,
}

/// Who wants to send a request.
#[derive(Debug, Clone)]
pub(crate) struct Asking<'a> {
    /// The provider's account.
    pub(crate) account: &'a str,
    /// Each method of the API has a quota of its own.
    pub(crate) by_method: bool,
    /// How urgent it is.
    pub(crate) lane: TaskPriority,
    /// Whose.
    pub(crate) connection: ConnectionId,
    /// The dispatch has sent a request before.
    pub(crate) begun: bool,
    /// The place in the line that it has waited for.
    pub(crate) place: Option<Timestamp>,
}

/// Whether a request may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Now.
    Go,
    /// At that time, with this as its place.
    Wait(Timestamp),
    /// The dispatch is to run again then.
    Move(Timestamp),
}

impl RateLimiter {
    /// Asks for a request; one that may go is counted.
    pub(crate) fn admit(&self, url: &Url, asking: &Asking<'_>, now: Timestamp) -> Admission {
        let mut known = self.known();
        let key = known.key(url, asking.account, asking.by_method);
        match known.quotas.get_mut(&key) {
            Some(quota) => quota.admit(asking, now),
            None => Admission::Go,
        }
    }

    /// Learns from a response. With `refused` it is the refusal of one request too many, and none is taken until then.
    pub(crate) fn answered(
        &self,
        response: &Response,
        refused: Option<Timestamp>,
        account: &str,
        by_method: bool,
        now: Timestamp,
    ) {
        let mut known = self.known();
        let said = Headers::new(&response.headers, now).quota();
        if let Some(part) = response.header("x-ratelimit-resource").filter(|_| !by_method) {
            let place = segment_key(&response.url, account);
            if known.parts.len() < MAX_QUOTAS {
                known.parts.insert(place, part.to_owned());
            }
        }
        let key = known.key(&response.url, account, by_method);
        if said.is_none() && refused.is_none() && !known.quotas.contains_key(&key) {
            return;
        }
        if known.quotas.len() >= MAX_QUOTAS {
            known.quotas.retain(|_, quota| quota.limits(now));
        }
        let quota = known.quotas.entry(key).or_default();
        if let Some(said) = &said {
            quota.heard(said, now);
        }
        match refused {
            Some(until) => quota.refused(until, said.is_some(), now),
            None => quota.passed += 1,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn key(&self, url: &Url, account: &str, by_method: bool) -> QuotaKey {
        let mut key = segment_key(url, account);
        key.part = if by_method { url.path().to_owned() } else { self.parts.get(&key).cloned().unwrap_or_default() };
        key
    }
}

/// The key with the first segment of the path as its part.
fn segment_key(url: &Url, account: &str) -> QuotaKey {
    let segment = url.path_segments().and_then(|mut segments| segments.next()).unwrap_or_default();
    QuotaKey {
        account: account.to_owned(),
        host: url.host_str().unwrap_or_default().to_owned(),
        part: segment.to_owned(),
    }
}

/// What is known of one quota.
#[derive(Debug, Default)]
struct Quota {
    window: Option<Window>,
    /// The service refuses everything until then.
    blocked: Option<Timestamp>,
    /// Requests that passed since the end of the last refusal or window: what is learned from where the service says nothing.
    passed: u64,
    counted_since: Option<Timestamp>,
    /// The next free place in each of the lines.
    lines: [Option<Timestamp>; 3],
    /// Places of dispatches that were moved to them, and how many there are.
    places: HashMap<ConnectionId, VecDeque<Timestamp>>,
    placed: u64,
}

#[derive(Debug)]
struct Window {
    limit: u64,
    remaining: u64,
    resets: Timestamp,
    length: SignedDuration,
    /// The service says it, in place of it being learned from refusals.
    said: bool,
}

/// Part of the quota that is left to those who are more urgent, until the last twentieth of a window.
fn reserve(lane: TaskPriority) -> f64 {
    match lane {
        TaskPriority::User => 0.0,
        TaskPriority::Webhook => 0.01,
        TaskPriority::Incremental => 0.02,
        TaskPriority::Backfill => 0.03,
    }
}

impl Quota {
    /// It holds anybody up, or knows something that it would have to learn again.
    fn limits(&self, now: Timestamp) -> bool {
        self.blocked.is_some_and(|until| until > now) || self.window.as_ref().is_some_and(|window| window.resets > now)
    }

    fn admit(&mut self, asking: &Asking<'_>, now: Timestamp) -> Admission {
        self.roll(now);
        if let Some(until) = self.blocked.filter(|until| *until > now) {
            // Those that wait do not all come back at the same time.
            return self.give_place(asking, until, now);
        }
        let Some(window) = &mut self.window else { return Admission::Go };
        let free = window.free(asking.lane, now);
        let (limit, remaining) = (window.limit, window.remaining);
        let in_turn = match asking.lane {
            TaskPriority::User | TaskPriority::Webhook => true,
            // Enough for everyone, also for those whose place is yet to come.
            _ if remaining > limit / 2 + self.placed => true,
            _ if asking.place.is_some_and(|place| place <= now) => true,
            _ => self.takes_place(asking.connection, now),
        };
        if in_turn && free > 0 {
            if let Some(window) = &mut self.window {
                window.remaining -= 1;
            }
            return Admission::Go;
        }
        self.give_place(asking, now, now)
    }

    /// The dispatch was moved to a place that has come.
    fn takes_place(&mut self, connection: ConnectionId, now: Timestamp) -> bool {
        let Some(places) = self.places.get_mut(&connection) else { return false };
        let taken = places.pop_front_if(|place| *place <= now).is_some();
        self.placed -= u64::from(taken);
        if places.is_empty() {
            self.places.remove(&connection);
        }
        taken
    }

    /// Gives a place in the line, not before `from`.
    fn give_place(&mut self, asking: &Asking<'_>, from: Timestamp, now: Timestamp) -> Admission {
        let line = match asking.lane {
            TaskPriority::User | TaskPriority::Webhook => 0,
            _ if asking.begun => 0,
            TaskPriority::Incremental => 1,
            TaskPriority::Backfill => 2,
        };
        let mut place = self.lines.get(line).copied().flatten().unwrap_or(from).max(from);
        let mut step = SignedDuration::ZERO;
        if let Some(window) = &self.window {
            let left = window.resets.duration_since(place);
            let free = window.free(asking.lane, now);
            if left.is_positive() && free > 0 {
                step = window.resets.duration_since(now) / i32::try_from(free).unwrap_or(i32::MAX);
                place = if asking.lane == TaskPriority::User { place } else { place.max(later(now, step)) };
            } else {
                place = place.max(window.resets);
                step = window.length / i32::try_from(window.limit).unwrap_or(i32::MAX);
            }
        }
        // Whoever comes first makes all that are less urgent wait a step longer.
        for (index, next) in self.lines.iter_mut().enumerate().skip(line) {
            let free = if index == line { place } else { next.unwrap_or(place) };
            *next = Some(later(free, step));
        }
        let patience = if asking.begun || asking.lane == TaskPriority::User { LONG_WAIT } else { SHORT_WAIT };
        if place.duration_since(now) <= patience {
            return Admission::Wait(place);
        }
        if line > 0 {
            self.places.entry(asking.connection).or_default().push_back(place);
            self.placed += 1;
        }
        Admission::Move(place)
    }

    /// Begins a new window when the last one is over.
    fn roll(&mut self, now: Timestamp) {
        let Some(window) = self.window.as_mut().filter(|window| window.resets <= now) else { return };
        if !window.said && window.remaining == 0 && self.counted_since != Some(window.resets) {
            // All of what was learned was used, and nothing was refused: there may be more.
            window.limit += window.limit.div_ceil(100);
        }
        let windows = now.duration_since(window.resets).as_millis() / window.length.as_millis().max(1) + 1;
        let gone = window.length.saturating_mul(i32::try_from(windows).unwrap_or(i32::MAX));
        window.resets = later(window.resets, gone);
        window.remaining = window.limit;
        self.counted_since = window.resets.checked_sub(window.length).ok();
        self.passed = 0;
        self.places.retain(|_, places| {
            places.retain(|place| now.duration_since(*place) < FORGOTTEN);
            !places.is_empty()
        });
        self.placed = self.places.values().map(|places| places.len() as u64).sum();
    }

    /// The service said how much is left.
    fn heard(&mut self, said: &SaidQuota, now: Timestamp) {
        match &mut self.window {
            // An answer that was overtaken by that of a new window.
            Some(window) if window.said && later(said.resets, SAME_RESET) < window.resets => {}
            Some(window) if window.said && said.resets <= later(window.resets, SAME_RESET) => {
                window.limit = said.limit;
                // What is on its way is not in what the service has counted.
                window.remaining = window.remaining.min(said.remaining);
            }
            window => {
                let seen = said.resets.duration_since(now);
                let known = window.as_ref().filter(|window| window.said && window.limit == said.limit);
                let length = known.map_or(seen, |window| window.length.max(seen));
                let SaidQuota { limit, remaining, resets } = *said;
                *window = Some(Window { limit, remaining, resets, length, said: true });
            }
        }
    }

    /// The service refused. Where it says no more than that, two refusals tell what it takes between them.
    fn refused(&mut self, until: Timestamp, said: bool, now: Timestamp) {
        if self.blocked.is_some_and(|blocked| blocked > now) {
            // One of several that were on their way.
            self.blocked = self.blocked.max(Some(until));
            return;
        }
        self.blocked = Some(until);
        if let Some(last) = self.counted_since.replace(until).filter(|_| !said && self.passed > 0) {
            let length = until.duration_since(last);
            self.window = Some(Window { limit: self.passed, remaining: 0, resets: until, length, said: false });
        }
        self.passed = 0;
    }
}

impl Window {
    /// What is left for a lane.
    fn free(&self, lane: TaskPriority, now: Timestamp) -> u64 {
        let left = self.resets.duration_since(now).as_secs_f64() / self.length.as_secs_f64().max(0.001);
        let kept = self.limit as f64 * reserve(lane) * (left * 20.0).clamp(0.0, 1.0);
        self.remaining.saturating_sub(kept as u64)
    }
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderValue;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn url() -> Url {
        Url::parse("https://service.test/items").unwrap()
    }

    fn answer(limiter: &RateLimiter, status: u16, headers: &[(&'static str, &str)], now: i64) {
        let headers = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        let response = Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers.collect(),
            body: Bytes::new(),
            url: url(),
        };
        limiter.answered(&response, "account", false, at(now));
    }

    /// Sends what a user's dispatch may send at this second, at most `wanted`; the number of requests.
    fn send(limiter: &RateLimiter, wanted: usize, now: i64) -> usize {
        let asking = Asking {
            account: "account",
            by_method: false,
            lane: TaskPriority::User,
            connection: ConnectionId::from_number(1),
            begun: false,
            place: None,
        };
        let sent = (0..wanted).take_while(|_| limiter.admit(&url(), &asking, at(now)) == Admission::Go).count();
        (0..sent).for_each(|_| answer(limiter, 200, &[], now));
        sent
    }

    /// A service that says nothing of its quota has refused twice, with 100 requests between: a window of 60 s.
    fn learned() -> RateLimiter {
        let limiter = RateLimiter::default();
        answer(&limiter, 429, &[("retry-after", "60")], 0);
        assert_eq!(send(&limiter, 1, 59), 0);
        assert_eq!(send(&limiter, 100, 60), 100);
        answer(&limiter, 429, &[("retry-after", "50")], 70);
        assert_eq!(send(&limiter, 1, 119), 0);
        limiter
    }

    /// Findings 15, L11: the service may take more than it did when it refused.
    #[test]
    fn a_learned_quota_grows_when_all_of_it_was_used() {
        let limiter = learned();
        let windows: Vec<_> = (2..7).map(|window| send(&limiter, 1_000, window * 60)).collect();
        assert_eq!(windows, [100, 101, 103, 105, 107], "a hundredth more each time, and at least one");
    }

    /// Findings 15
    #[test]
    fn a_learned_quota_that_was_not_used_up_stays() {
        let limiter = learned();
        assert_eq!(send(&limiter, 99, 120), 99);
        assert_eq!(send(&limiter, 50, 180), 50);
        assert_eq!(send(&limiter, 1_000, 240), 100);
        assert_eq!(send(&limiter, 1_000, 300), 101);
    }

    /// Findings 15
    #[test]
    fn a_quota_that_the_service_says_does_not_grow() {
        let limiter = RateLimiter::default();
        let said = [("x-ratelimit-limit", "100"), ("x-ratelimit-remaining", "99"), ("x-ratelimit-reset", "60")];
        answer(&limiter, 200, &said, 0);
        assert_eq!(send(&limiter, 1_000, 0), 99);
        assert_eq!([send(&limiter, 1_000, 60), send(&limiter, 1_000, 120)], [100, 100]);
    }
}
