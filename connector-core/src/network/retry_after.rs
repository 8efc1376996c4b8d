//! When a service takes requests again, and what is left of its quota, by the headers of an answer.
//!
//! `Retry-After` is read in every form that RFC 9110 allows (10.2.3 and 5.6.7), and in those that services send in
//! place of them: fractions, a time since the epoch, RFC 3339. A date is compared with the answer's own `Date`, so a
//! clock that differs from ours makes no wait longer or shorter.
//!
//! No header closes an account for long. A wait of more than [`LONGEST_WAIT`] is cut to it: the service is asked again
//! then. A value that lies more than [`PLAUSIBLE`] ahead is not believed at all.

use http::HeaderMap;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// The shortest wait: a service that says "now", or a time that is over by its clock, is not called in a loop (L11).
pub(super) const SHORTEST_WAIT: SignedDuration = SignedDuration::from_secs(1);

/// The wait where a service refuses and does not say until when. The limiter doubles it while the service goes on
/// refusing, up to [`LONGEST_WAIT`].
pub(super) const UNSAID_WAIT: SignedDuration = SignedDuration::from_secs(60);

/// The longest wait, one hour: what lies further ahead is asked about again.
pub(super) const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(1);

/// The furthest time that is believed, seven days ahead.
const PLAUSIBLE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Numbers from here on are no seconds from now.
const FROM_THE_EPOCH: f64 = 1e8;

/// Names of the header that says how long to wait, the standard one first.
const RETRY_HEADERS: [&str; 3] = ["retry-after", "x-retry-after", "x-ratelimit-reset-after"];

/// What the headers of rate limits begin with: GitHub's and most others', those of the IETF drafts, X's, HubSpot's, and
/// Linear's, which has several quotas.
const PREFIXES: [&str; 5] =
    ["x-ratelimit-", "ratelimit-", "x-rate-limit-", "x-hubspot-ratelimit-", "x-ratelimit-requests-"];

/// The headers of an answer, with the time by its service's clock.
pub(super) struct Headers<'a> {
    headers: &'a HeaderMap,
    now: Timestamp,
    service_now: Timestamp,
}

/// What a service says of the quota that a request counted against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SaidQuota {
    /// Requests in a window.
    pub(crate) limit: u64,
    /// Requests that are left in this window.
    pub(crate) remaining: u64,
    /// When the window ends.
    pub(crate) resets: Timestamp,
}

impl<'a> Headers<'a> {
    /// The headers of an answer that came at `now`.
    pub(super) fn new(headers: &'a HeaderMap, now: Timestamp) -> Self {
        let date = headers.get("date").and_then(|value| http_date(value.to_str().ok()?.trim(), now));
        Self { headers, now, service_now: date.unwrap_or(now) }
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.headers.get(name)?.to_str().ok().map(str::trim)
    }

    /// Whether the answer says how long to wait, in whatever form.
    pub(super) fn has_retry_after(&self) -> bool {
        self.headers.contains_key("retry-after-ms") || RETRY_HEADERS.iter().any(|name| self.headers.contains_key(*name))
    }

    /// The time that `Retry-After` says; `None` if it is not there, or says nothing that can be.
    pub(super) fn retry_after(&self) -> Option<Timestamp> {
        let milliseconds = self.text("retry-after-ms").and_then(|text| text.parse::<f64>().ok());
        let exact = milliseconds.and_then(|milliseconds| self.in_seconds(milliseconds / 1000.0));
        exact.or_else(|| RETRY_HEADERS.iter().find_map(|name| self.time(self.text(name)?)))
    }

    /// Whether no request is left of the quota.
    pub(super) fn is_exhausted(&self) -> bool {
        let remaining = PREFIXES.iter().find_map(|prefix| self.count(&format!("{prefix}remaining")));
        remaining.or_else(|| self.draft().map(|(_, remaining, _)| remaining)) == Some(0)
    }

    /// When the quota is whole again; `None` if the service does not say it.
    pub(super) fn resets(&self) -> Option<Timestamp> {
        self.resets_of(&PREFIXES).or_else(|| self.draft().and_then(|(_, _, resets)| resets))
    }

    fn resets_of(&self, prefixes: &[&str]) -> Option<Timestamp> {
        prefixes.iter().find_map(|prefix| self.time(self.text(&format!("{prefix}reset"))?))
    }

    /// The quota, if the service says all of it.
    pub(super) fn quota(&self) -> Option<SaidQuota> {
        let usual = PREFIXES.iter().find_map(|prefix| {
            let limit = self.count(&format!("{prefix}limit")).or_else(|| self.count(&format!("{prefix}max")))?;
            let remaining = self.count(&format!("{prefix}remaining"))?;
            let resets = self.resets_of(&[prefix]).or_else(|| {
                let interval = self.text(&format!("{prefix}interval-milliseconds"))?.parse::<f64>().ok()?;
                self.in_seconds(interval / 1000.0)
            });
            Some(SaidQuota { limit, remaining, resets: resets? })
        });
        let said = usual.or_else(|| {
            let (limit, remaining, resets) = self.draft()?;
            Some(SaidQuota { limit: limit?, remaining, resets: resets? })
        });
        said.filter(|said| said.limit > 0 && said.remaining <= said.limit && said.resets > self.now)
    }

    /// `RateLimit: "default";r=50;t=30` with `RateLimit-Policy: "default";q=100;w=60`
    /// (draft-ietf-httpapi-ratelimit-headers-10): limit, what is left, and when the window ends.
    fn draft(&self) -> Option<(Option<u64>, u64, Option<Timestamp>)> {
        let limits = self.text("ratelimit")?;
        let remaining = parameter(limits, "r")?.parse().ok()?;
        let resets = parameter(limits, "t").and_then(|seconds| self.in_seconds(seconds.parse().ok()?));
        let limit = self.text("ratelimit-policy").and_then(|policy| parameter(policy, "q")?.parse().ok());
        Some((limit, remaining, resets))
    }

    /// A number of requests: the first of a list, without its parameters (`100, 100;w=60`).
    fn count(&self, name: &str) -> Option<u64> {
        let first = self.text(name)?.split([',', ';']).next()?.trim();
        first.parse().ok().or_else(|| first.parse::<f64>().ok().filter(|count| *count >= 0.0).map(|count| count as u64))
    }

    /// A time in whatever form services write one: seconds from now or since the epoch, a date, or `6m0s`.
    fn time(&self, text: &str) -> Option<Timestamp> {
        let number = text.split([',', ';']).next().unwrap_or_default().trim();
        if let Ok(number) = number.parse::<f64>() {
            return if number < FROM_THE_EPOCH { self.in_seconds(number) } else { self.since_epoch(number) };
        }
        if let Some(at) = http_date(text, self.now).or_else(|| text.parse().ok()) {
            return self.by_our_clock(at);
        }
        self.in_seconds(go_duration(number)?)
    }

    /// That many seconds from now, as whole ones: services also write fractions.
    fn in_seconds(&self, seconds: f64) -> Option<Timestamp> {
        let believed = seconds.is_finite() && seconds <= PLAUSIBLE.as_secs_f64();
        let wait = SignedDuration::try_from_secs_f64(seconds.max(0.0).ceil()).ok().filter(|_| believed)?;
        self.now.checked_add(wait).ok()
    }

    /// A number of seconds, milliseconds or microseconds since the epoch, whichever is near the present.
    fn since_epoch(&self, number: f64) -> Option<Timestamp> {
        [1.0, 1e3, 1e6].iter().find_map(|unit| {
            let since = SignedDuration::try_from_secs_f64((number / unit).ceil()).ok()?;
            self.by_our_clock(Timestamp::UNIX_EPOCH.checked_add(since).ok()?)
        })
    }

    /// A time of the service's clock; `None` if it lies too far ahead, or too long ago, to be believed.
    fn by_our_clock(&self, at: Timestamp) -> Option<Timestamp> {
        let wait = at.duration_since(self.service_now);
        (wait.abs() <= PLAUSIBLE).then(|| self.now.checked_add(wait).ok()).flatten()
    }
}

/// A wait that is neither too short nor too long.
pub(super) fn bounded(until: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let wait = until.map_or(UNSAID_WAIT, |until| until.duration_since(now));
    now.checked_add(wait.clamp(SHORTEST_WAIT, LONGEST_WAIT)).unwrap_or(Timestamp::MAX)
}

/// The value of a parameter: `r=50`.
fn parameter<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split([';', ',']).find_map(|part| {
        let (key, value) = part.split_once('=')?;
        (key.trim() == name).then(|| value.trim())
    })
}

/// A date in one of the three forms of RFC 9110 5.6.7. The name of the day is not compared with the date.
fn http_date(text: &str, now: Timestamp) -> Option<Timestamp> {
    let fixed = jiff::fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true);
    if let Ok(at) = fixed.parse_timestamp(text) {
        return Some(at);
    }
    let at = |form: &str, date: &str| {
        let date = DateTime::strptime(form, date).ok()?;
        TimeZone::UTC.to_timestamp(date).ok()
    };
    if let Some((_, date)) = text.split_once(", ") {
        // `Monday, 30-Nov-26 21:24:38 GMT`: a year that seems to be more than 50 years ahead is past.
        let date = date.trim_end_matches("GMT").trim();
        let long = at("%d-%b-%Y %H:%M:%S", date).filter(|at| at.duration_since(now).as_hours() > -24 * 366 * 1000);
        let at = at("%d-%b-%y %H:%M:%S", date).or(long)?;
        let ahead = at.duration_since(now) > SignedDuration::from_hours(24 * 365 * 50);
        return if ahead { at.checked_sub(SignedDuration::from_hours(24 * 36_525)).ok() } else { Some(at) };
    }
    // `Mon Nov 30 21:24:38 2026`, as `asctime` writes it.
    let date = text.split_once(' ')?.1;
    at("%b %e %H:%M:%S %Y", date.trim())
}

/// Seconds of a duration as Go writes it: `1s`, `6m0s`, `500ms`.
fn go_duration(text: &str) -> Option<f64> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, next) = after.split_at(letters);
        let unit = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * unit;
        rest = next;
    }
    (!text.is_empty()).then_some(seconds)
}

#[cfg(test)]
mod tests;
