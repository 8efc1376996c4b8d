//! One limiter for each quota of a provider account, declared or learned from what the service says (L11, L36).
//!
//! A quota is what one account may ask of one host in a window of time. There are three kinds:
//!
//! - declared ones: a connector says which requests count against them ([`QuotaDeclaration`]);
//! - said ones: size, what is left and the end of the window come from the rate-limit headers. Requests whose answers
//!   say the same size share one;
//! - learned ones, where a service only refuses: from when it began to refuse, and until when. They are learned for each
//!   group of requests by itself: requests that read apart from those that write, and both by the template of their
//!   path. What was learned from refused requests of one group never slows another. Where nothing is refused while all
//!   of a learned quota is used, it grows by a hundredth with each window.
//!
//! All connections of the account share them. A request goes when each of its quotas has room.
//!
//! Users and pushes take what there is, as long as there is any. Incremental work and backfills do so
//! while more than half is left; the rest they spread over the remaining time, first come first served,
//! and leave a reserve for users that shrinks to nothing as the window ends. So all of a quota is
//! used where there is enough to do, and a user hardly ever meets an empty one. Work that has to wait
//! long is moved to its place in the line, in place of waiting there with a worker in hand, and goes on where it was
//! ([`KeptAnswers`](super::KeptAnswers)).
//!
//! A refusal without a time closes its group for a minute, and each further one in a row for twice as long, up to an
//! hour. An operator who resumes the connection lifts what closes it, as does the time itself.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::Method;
use jiff::{SignedDuration, Timestamp};
use url::Url;

use super::Response;
use super::quota::{QuotaDeclaration, reads, template};
use super::retry_after::{Headers, LONGEST_WAIT, SaidQuota};
use crate::engine::TaskPriority;
use crate::id::ConnectionId;

/// A dispatch that has sent nothing yet waits so long; to wait longer, it is moved.
const SHORT_WAIT: SignedDuration = SignedDuration::from_secs(1);

/// One that would do again what it has done waits longer, and so does a user's.
pub(crate) const LONG_WAIT: SignedDuration = SignedDuration::from_secs(20);

/// Times of one reset that are told apart: services round, and say it as seconds from now.
const SAME_RESET: SignedDuration = SignedDuration::from_secs(2);

/// Places in a line are forgotten when nobody has taken them for so long.
const FORGOTTEN: SignedDuration = SignedDuration::from_mins(1);

/// Quotas that are kept in memory; beyond it, those that limit nothing are forgotten.
const MAX_QUOTAS: usize = 10_000;

/// Templates of paths for which quotas are learned apart, by account, host, and whether they read; all others share one.
const MAX_TEMPLATES: usize = 16;

/// All quotas of a host.
#[derive(Debug, Default)]
pub(crate) struct RateLimiter {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    quotas: HashMap<QuotaKey, Quota>,
    /// The quota that the service says for requests of a class.
    said: HashMap<QuotaKey, QuotaKey>,
    /// Templates of paths of which requests were refused, by class.
    refused: HashMap<QuotaKey, Vec<String>>,
}

/// What shares a quota: an account, a host, and what tells its quotas apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct QuotaKey {
    account: String,
    host: String,
    part: Part,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Part {
    /// The declared quota with this name.
    Declared(&'static str),
    /// The quota that the service calls so, and that has this size.
    Said(String, u64),
    /// Requests of this group.
    Group { reads: bool, like: String },
}

/// What a request counts against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted<'a> {
    /// The provider's account.
    pub(crate) account: &'a str,
    /// Each method of the API has a quota of its own.
    pub(crate) by_method: bool,
    /// The quotas that the connector declares.
    pub(crate) declared: &'static [QuotaDeclaration],
    /// The base of the provider's API.
    pub(crate) base: &'a str,
    /// Method of the request.
    pub(crate) method: &'a Method,
    /// URL of the request.
    pub(crate) url: &'a Url,
}

/// Who wants to send a request.
#[derive(Debug, Clone)]
pub(crate) struct Asking<'a> {
    /// The request.
    pub(crate) counted: Counted<'a>,
    /// How urgent it is.
    pub(crate) lane: TaskPriority,
    /// Whose.
    pub(crate) connection: ConnectionId,
    /// The dispatch has sent a request before.
    pub(crate) begun: bool,
    /// The longest wait in place; `None` means as the lane has it.
    pub(crate) max_wait: Option<SignedDuration>,
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
    pub(crate) fn admit(&self, asking: &Asking<'_>, now: Timestamp) -> Admission {
        let mut known = self.known();
        let keys = known.keys(&asking.counted, now);
        let mut admission = Admission::Go;
        for key in &keys {
            if let Some(quota) = known.quotas.get_mut(key) {
                admission = admission.later(quota.admit(asking, now));
            }
        }
        if admission == Admission::Go {
            for key in &keys {
                if let Some(quota) = known.quotas.get_mut(key) {
                    quota.take(asking.connection, now);
                }
            }
        }
        admission
    }

    /// Learns from a response. With `refused` it is the refusal of one request too many, and none is taken until then.
    pub(crate) fn answered(
        &self,
        response: &Response,
        refused: Option<Timestamp>,
        counted: &Counted<'_>,
        now: Timestamp,
    ) {
        let mut known = self.known();
        let headers = Headers::new(&response.headers, now);
        let said = headers.quota().filter(|_| !counted.by_method);
        let unsaid = !headers.has_retry_after() && headers.resets().is_none();
        known.make_room(now);
        let mut exhausted = false;
        if let Some(said) = &said {
            let name = ["x-ratelimit-resource", "x-ratelimit-bucket"].iter().find_map(|name| response.header(name));
            let key = counted.key(Part::Said(name.unwrap_or_default().to_owned(), said.limit));
            known.said.insert(counted.class(), key.clone());
            let quota = known.quotas.entry(key).or_default();
            quota.heard(said, now);
            exhausted = said.remaining == 0;
            if let Some(until) = refused.filter(|_| exhausted) {
                quota.refused(until, false, false, now);
            }
        }
        let declared = counted.declared_keys().collect::<Vec<_>>();
        if let Some(until) = refused.filter(|_| !exhausted) {
            // What is declared is not learned; the service may know better all the same.
            let learns = said.is_none() && declared.is_empty();
            let keys = if declared.is_empty() { vec![known.refused_group(counted)] } else { declared };
            for key in keys {
                known.quotas.entry(key).or_default().refused(until, learns, unsaid, now);
            }
        } else if refused.is_none() {
            let groups = known.group(counted).into_iter().chain(declared);
            for key in groups.collect::<Vec<_>>() {
                if let Some(quota) = known.quotas.get_mut(&key) {
                    quota.passes(now);
                }
            }
        }
    }

    /// Forgets until when the account takes no more. Whether there was such a time.
    pub(crate) fn lift(&self, account: &str, now: Timestamp) -> bool {
        let mut known = self.known();
        let mut lifted = false;
        for (key, quota) in &mut known.quotas {
            if key.account == account && quota.blocked.take().is_some_and(|until| until > now) {
                quota.refusals = 0;
                lifted = true;
            }
        }
        lifted
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The quotas that a request counts against, as far as they are known.
    fn keys(&mut self, counted: &Counted<'_>, now: Timestamp) -> Vec<QuotaKey> {
        let mut keys: Vec<_> = counted.declared_keys().collect();
        if keys.is_empty() {
            keys.extend(self.group(counted));
        } else {
            for quota in counted.declared_quotas() {
                let known = self.quotas.entry(counted.key(Part::Declared(quota.name))).or_default();
                known.window.get_or_insert_with(|| Window::declared(quota, now));
            }
        }
        if !self.said.is_empty() {
            keys.extend(self.said.get(&counted.class()).cloned());
        }
        keys
    }

    /// The group of a request, if one of its requests was refused.
    fn group(&self, counted: &Counted<'_>) -> Option<QuotaKey> {
        if self.refused.is_empty() {
            return None;
        }
        let like = counted.like();
        let refused = self.refused.get(&counted.class())?;
        if refused.contains(&like) {
            return Some(counted.group(like));
        }
        (refused.len() >= MAX_TEMPLATES).then(|| counted.group("*".to_owned()))
    }

    /// The group of a request that is refused.
    fn refused_group(&mut self, counted: &Counted<'_>) -> QuotaKey {
        let like = counted.like();
        let refused = self.refused.entry(counted.class()).or_default();
        if !refused.contains(&like) {
            if refused.len() >= MAX_TEMPLATES {
                return counted.group("*".to_owned());
            }
            refused.push(like.clone());
        }
        counted.group(like)
    }

    fn make_room(&mut self, now: Timestamp) {
        if self.quotas.len() < MAX_QUOTAS && self.said.len() < MAX_QUOTAS {
            return;
        }
        self.quotas.retain(|_, quota| quota.limits(now));
        let Self { quotas, said, refused } = self;
        said.retain(|_, key| quotas.contains_key(key));
        refused.retain(|class, templates| {
            let key = |like: &String| {
                let reads = matches!(class.part, Part::Group { reads: true, .. });
                QuotaKey { part: Part::Group { reads, like: like.clone() }, ..class.clone() }
            };
            templates.retain(|like| quotas.contains_key(&key(like)));
            !templates.is_empty()
        });
    }
}

impl Counted<'_> {
    fn declared_quotas(&self) -> impl Iterator<Item = &'static QuotaDeclaration> {
        self.declared.iter().filter(|quota| quota.counts(self.method, self.url, self.base))
    }

    fn declared_keys(&self) -> impl Iterator<Item = QuotaKey> {
        self.declared_quotas().map(|quota| self.key(Part::Declared(quota.name)))
    }

    fn key(&self, part: Part) -> QuotaKey {
        let host = self.url.host_str().unwrap_or_default().to_owned();
        QuotaKey { account: self.account.to_owned(), host, part }
    }

    fn group(&self, like: String) -> QuotaKey {
        self.key(Part::Group { reads: reads(self.method), like })
    }

    /// Requests that read, or that write, below the first segment of a path: those for which a service says one quota.
    fn class(&self) -> QuotaKey {
        let first = self.url.path_segments().and_then(|mut segments| segments.next()).unwrap_or_default();
        self.group(first.to_owned())
    }

    /// What the paths of a group have in common.
    fn like(&self) -> String {
        if self.by_method { self.url.path().to_owned() } else { template(self.url.path()) }
    }
}

impl Admission {
    /// What two quotas together say.
    fn later(self, other: Self) -> Self {
        match (self, other) {
            (Self::Go, other) => other,
            (admission, Self::Go) => admission,
            (Self::Wait(first), Self::Wait(second)) => Self::Wait(first.max(second)),
            (Self::Wait(first) | Self::Move(first), Self::Wait(second) | Self::Move(second)) => {
                Self::Move(first.max(second))
            }
        }
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
    /// Refusals in a row that said no time.
    refusals: u32,
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
    origin: Origin,
}

/// How a quota is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The connector declares it.
    Declared,
    /// The service says it.
    Said,
    /// It was learned from refusals.
    Learned,
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
        let Some(window) = &self.window else { return Admission::Go };
        let free = window.free(asking.lane, now);
        let (limit, remaining) = (window.limit, window.remaining);
        let in_turn = match asking.lane {
            TaskPriority::User | TaskPriority::Webhook => true,
            // Enough for everyone, also for those whose place is yet to come.
            _ if remaining > limit / 2 + self.placed => true,
            _ if asking.place.is_some_and(|place| place <= now) => true,
            // The dispatch was moved to a place that has come.
            _ => self.places.get(&asking.connection).and_then(VecDeque::front).is_some_and(|place| *place <= now),
        };
        if in_turn && free > 0 { Admission::Go } else { self.give_place(asking, now, now) }
    }

    /// Counts a request that goes, with the place that the dispatch was moved to.
    fn take(&mut self, connection: ConnectionId, now: Timestamp) {
        if let Some(window) = &mut self.window {
            window.remaining = window.remaining.saturating_sub(1);
        }
        if let Some(places) = self.places.get_mut(&connection) {
            let taken = places.pop_front_if(|place| *place <= now).is_some();
            self.placed -= u64::from(taken);
            if places.is_empty() {
                self.places.remove(&connection);
            }
        }
    }

    /// A request passed.
    fn passes(&mut self, now: Timestamp) {
        self.passed += 1;
        if self.blocked.is_none_or(|until| until <= now) {
            self.refusals = 0;
        }
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
        let usual = if asking.begun || asking.lane == TaskPriority::User { LONG_WAIT } else { SHORT_WAIT };
        if place.duration_since(now) <= asking.max_wait.unwrap_or(usual) {
            return Admission::Wait(place);
        }
        if !matches!(asking.lane, TaskPriority::User | TaskPriority::Webhook) {
            self.places.entry(asking.connection).or_default().push_back(place);
            self.placed += 1;
        }
        Admission::Move(place)
    }

    /// Begins a new window when the last one is over.
    fn roll(&mut self, now: Timestamp) {
        let Some(window) = self.window.as_mut().filter(|window| window.resets <= now) else { return };
        if window.origin == Origin::Learned && window.remaining == 0 && self.counted_since != Some(window.resets) {
            // All of what was learned was used, and nothing was refused: there may be more.
            window.limit += window.limit.div_ceil(100);
        }
        if window.origin == Origin::Declared {
            // It begins with the next request: when the service's own begins is not known.
            window.resets = now;
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
            Some(window) if window.origin == Origin::Said && later(said.resets, SAME_RESET) < window.resets => {}
            Some(window) if window.origin == Origin::Said && said.resets <= later(window.resets, SAME_RESET) => {
                window.limit = said.limit;
                // What is on its way is not in what the service has counted.
                window.remaining = window.remaining.min(said.remaining);
            }
            window => {
                let seen = said.resets.duration_since(now);
                let known =
                    window.as_ref().filter(|window| window.origin == Origin::Said && window.limit == said.limit);
                let length = known.map_or(seen, |window| window.length.max(seen));
                let SaidQuota { limit, remaining, resets } = *said;
                *window = Some(Window { limit, remaining, resets, length, origin: Origin::Said });
            }
        }
    }

    /// The service refused. Where it says no more than that, two refusals tell what it takes between them.
    fn refused(&mut self, until: Timestamp, learns: bool, unsaid: bool, now: Timestamp) {
        if self.blocked.is_some_and(|blocked| blocked > now) {
            // One of several that were on their way.
            self.blocked = self.blocked.max(Some(until));
            return;
        }
        let until = if unsaid {
            self.refusals += 1;
            let wait = until.duration_since(now).saturating_mul(1_i32 << (self.refusals - 1).min(10));
            later(now, wait.min(LONGEST_WAIT))
        } else {
            until
        };
        self.blocked = Some(until);
        if let Some(last) = self.counted_since.replace(until).filter(|_| learns && self.passed > 0) {
            let length = until.duration_since(last);
            let (limit, resets, origin) = (self.passed, until, Origin::Learned);
            self.window = Some(Window { limit, remaining: 0, resets, length, origin });
        }
        self.passed = 0;
    }
}

impl Window {
    fn declared(quota: &QuotaDeclaration, now: Timestamp) -> Self {
        let (limit, length) = (u64::from(quota.limit), quota.window());
        Self { limit, remaining: limit, resets: later(now, length), length, origin: Origin::Declared }
    }

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
    use http::{HeaderValue, StatusCode};

    use super::*;
    use crate::network::Request;
    use crate::network::error::refused_until;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn url() -> Url {
        Url::parse("https://service.test/items").unwrap()
    }

    fn counted<'a>(method: &'a Method, url: &'a Url) -> Counted<'a> {
        Counted { account: "account", by_method: false, declared: &[], base: "", method, url }
    }

    fn answer_to(limiter: &RateLimiter, method: Method, status: u16, headers: &[(&'static str, &str)], now: i64) {
        let headers = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        let (request, status) = (Request::new(method, url()), StatusCode::from_u16(status).unwrap());
        let mut response = Response::new(&request, status, headers.collect(), Bytes::new());
        response.context.received_at = at(now);
        limiter.answered(&response, refused_until(&response), &counted(&request.method, &request.url), at(now));
    }

    fn answer(limiter: &RateLimiter, status: u16, headers: &[(&'static str, &str)], now: i64) {
        answer_to(limiter, Method::GET, status, headers, now);
    }

    /// When a user's dispatch may send a request of this method.
    fn admits(limiter: &RateLimiter, method: &Method, now: i64) -> Admission {
        let url = url();
        let asking = Asking {
            counted: counted(method, &url),
            lane: TaskPriority::User,
            connection: ConnectionId::from_number(1),
            begun: false,
            max_wait: None,
            place: None,
        };
        limiter.admit(&asking, at(now))
    }

    /// Sends what a user's dispatch may send at this second, at most `wanted`; the number of requests.
    fn send(limiter: &RateLimiter, wanted: usize, now: i64) -> usize {
        let sent = (0..wanted).take_while(|_| admits(limiter, &Method::GET, now) == Admission::Go).count();
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

    /// L11: the service may take more than it did when it refused.
    #[test]
    fn a_learned_quota_grows_when_all_of_it_was_used() {
        let limiter = learned();
        let windows: Vec<_> = (2..7).map(|window| send(&limiter, 1_000, window * 60)).collect();
        assert_eq!(windows, [100, 101, 103, 105, 107], "a hundredth more each time, and at least one");
    }

    #[test]
    fn a_learned_quota_that_was_not_used_up_stays() {
        let limiter = learned();
        assert_eq!(send(&limiter, 99, 120), 99);
        assert_eq!(send(&limiter, 50, 180), 50);
        assert_eq!(send(&limiter, 1_000, 240), 100);
        assert_eq!(send(&limiter, 1_000, 300), 101);
    }

    #[test]
    fn a_quota_that_the_service_says_does_not_grow() {
        let limiter = RateLimiter::default();
        let said = [("x-ratelimit-limit", "100"), ("x-ratelimit-remaining", "99"), ("x-ratelimit-reset", "60")];
        answer(&limiter, 200, &said, 0);
        assert_eq!(send(&limiter, 1_000, 0), 99);
        assert_eq!([send(&limiter, 1_000, 60), send(&limiter, 1_000, 120)], [100, 100]);
    }

    /// L36: a refusal that says no time closes its group for a minute, and each further one for twice as long.
    #[test]
    fn refusals_without_a_time_double_up_to_an_hour() {
        let limiter = RateLimiter::default();
        let mut now = 0;
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
            answer(&limiter, 429, &[], now);
            assert!(admits(&limiter, &Method::GET, now + minutes * 60 - 1) != Admission::Go, "{minutes}");
            now += minutes * 60;
            assert_eq!(admits(&limiter, &Method::GET, now), Admission::Go, "{minutes}");
        }
        answer(&limiter, 200, &[], now);
        answer(&limiter, 429, &[], now + 1);
        assert_eq!(admits(&limiter, &Method::GET, now + 61), Admission::Go, "a success begins anew");
    }

    /// L36: what a service refuses of writes, or says of them, is nothing that it says of reads.
    #[test]
    fn quotas_of_reads_and_writes_are_apart() {
        let limiter = RateLimiter::default();
        answer_to(&limiter, Method::POST, 429, &[("retry-after", "600")], 0);
        assert!(matches!(admits(&limiter, &Method::POST, 1), Admission::Move(_)));
        assert_eq!(admits(&limiter, &Method::GET, 1), Admission::Go);

        let limiter = RateLimiter::default();
        let said =
            |limit, left| [("x-ratelimit-limit", limit), ("x-ratelimit-remaining", left), ("x-ratelimit-reset", "60")];
        answer_to(&limiter, Method::GET, 200, &said("1000", "900"), 0);
        answer_to(&limiter, Method::POST, 200, &said("20", "0"), 0);
        assert!(matches!(admits(&limiter, &Method::POST, 1), Admission::Move(_)));
        assert_eq!(admits(&limiter, &Method::GET, 1), Admission::Go);
    }

    /// R6.6: what an answer says of a window that is over counts no more in the next one.
    #[test]
    fn an_answer_that_comes_late_says_nothing_of_the_next_window() {
        let limiter = RateLimiter::default();
        let begin = 1_700_000_000;
        let said = |left: &str, resets: i64, now| {
            let resets = (begin + resets).to_string();
            let headers =
                [("x-ratelimit-limit", "100"), ("x-ratelimit-remaining", left), ("x-ratelimit-reset", &*resets)];
            answer(&limiter, 200, &headers, begin + now);
        };
        // The service's clock is ahead of the host's, for which the first window is not over.
        said("50", 120, 50);
        said("0", 60, 51);
        assert_eq!(admits(&limiter, &Method::GET, begin + 52), Admission::Go);
        said("0", 120, 53);
        assert!(admits(&limiter, &Method::GET, begin + 54) != Admission::Go, "one of this window does");
    }

    /// R6.6: what is lifted of an account is open at once.
    #[test]
    fn a_lifted_account_is_open() {
        let limiter = RateLimiter::default();
        answer(&limiter, 429, &[("retry-after", "600")], 0);
        assert!(!limiter.lift("other", at(1)));
        assert!(matches!(admits(&limiter, &Method::GET, 1), Admission::Move(_)));
        assert!(limiter.lift("account", at(1)));
        assert_eq!(admits(&limiter, &Method::GET, 1), Admission::Go);
        assert!(!limiter.lift("account", at(1)));
    }
}
