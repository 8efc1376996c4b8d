use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::{SignedDuration, Timestamp};

use super::{Headers, SaidQuota, bounded};

fn now() -> Timestamp {
    "2026-11-30T21:14:38Z".parse().unwrap()
}

fn map(headers: &[(&str, &str)]) -> HeaderMap {
    let headers = headers
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap()));
    HeaderMap::from_iter(headers)
}

/// Seconds of the wait that these headers mean.
fn wait(headers: &[(&str, &str)]) -> i64 {
    let map = map(headers);
    let headers = Headers::new(&map, now());
    let until = if headers.has_retry_after() { headers.retry_after() } else { headers.resets() };
    bounded(until, now()).duration_since(now()).as_secs()
}

/// R6.6: `Retry-After` is seconds or a date in one of three forms (RFC 9110 10.2.3, 5.6.7), or what services write there.
#[test]
fn retry_after_in_each_form() {
    for (text, seconds) in [
        ("30", 30),
        (" 30 ", 30),
        ("1.2", 2),
        ("0", 1),
        ("-5", 1),
        ("120, 60", 120),
        ("Mon, 30 Nov 2026 21:24:38 GMT", 600),
        ("Mon, 30 Nov 2026 21:24:38 +0000", 600),
        ("Monday, 30-Nov-26 21:24:38 GMT", 600),
        ("Mon, 30-Nov-2026 21:24:38 GMT", 600),
        ("Mon Nov 30 21:24:38 2026", 600),
        ("Tue Dec  1 21:14:38 2026", 3600),
        // The name of the day is wrong.
        ("Fri, 30 Nov 2026 21:24:38 GMT", 600),
        ("Friday, 30-Nov-26 21:24:38 GMT", 600),
        ("Mon, 30 Nov 2026 20:00:00 GMT", 1),
        ("2026-11-30T21:24:38Z", 600),
        ("1796073878", 600),
        ("1796073878000", 600),
        ("1796073878000000", 600),
        ("6m0s", 360),
        ("500ms", 1),
    ] {
        assert_eq!(wait(&[("retry-after", text)]), seconds, "{text}");
    }
    assert_eq!(wait(&[("retry-after-ms", "2500"), ("retry-after", "60")]), 3);
    assert_eq!(wait(&[("x-ratelimit-reset-after", "0.4")]), 1);
}

/// L36: no header closes an account for long: an hour at most, and what cannot be meant is not believed.
#[test]
fn an_absurd_wait_is_not_believed() {
    for text in [
        "99999999999999999999",
        "1e300",
        "inf",
        "nan",
        "soon",
        "",
        "999999999",
        "Tue, 01 Jun 2055 12:00:00 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ] {
        assert_eq!(wait(&[("retry-after", text)]), 60, "{text}");
    }
    for text in ["3601", "86400", "604800", "Tue, 01 Dec 2026 21:14:38 GMT"] {
        assert_eq!(wait(&[("retry-after", text)]), 3600, "{text}");
    }
}

/// L36: a date is compared with the service's own clock, as that may differ from ours.
#[test]
fn a_wrong_clock_of_the_service_changes_no_wait() {
    let date = ("date", "Mon, 30 Nov 2026 23:00:00 GMT");
    let epoch = (now() + SignedDuration::from_secs(6322 + 90)).as_second().to_string();
    assert_eq!(wait(&[date, ("retry-after", "Mon, 30 Nov 2026 23:05:00 GMT")]), 300);
    assert_eq!(wait(&[date, ("x-ratelimit-reset", &epoch)]), 90);
    assert_eq!(wait(&[date, ("retry-after", "30")]), 30);
}

/// R10.2: `RateLimit-*` counts from now, `X-RateLimit-Reset` from the epoch, by some in milliseconds, by others a date.
#[test]
fn rate_limit_resets_in_each_form() {
    let at = (now() + SignedDuration::from_secs(120)).as_second();
    for (name, text, seconds) in [
        ("ratelimit-reset", "50".to_owned(), 50),
        ("x-ratelimit-reset", "50".to_owned(), 50),
        ("x-rate-limit-reset", "50".to_owned(), 50),
        ("x-ratelimit-reset", at.to_string(), 120),
        ("x-ratelimit-reset", format!("{at}.25"), 121),
        ("x-ratelimit-reset", (at * 1000).to_string(), 120),
        ("x-ratelimit-reset", "2026-11-30T21:16:38Z".to_owned(), 120),
        ("x-ratelimit-reset", (at - 3600).to_string(), 1),
        ("x-ratelimit-reset", "inf".to_owned(), 60),
        ("x-ratelimit-reset", "1e300".to_owned(), 60),
        ("x-ratelimit-reset", "?".to_owned(), 60),
        ("ratelimit", "\"default\";r=0;t=45".to_owned(), 45),
        ("x-other", String::new(), 60),
    ] {
        assert_eq!(wait(&[(name, &text)]), seconds, "{name} {text}");
    }
    assert_eq!(wait(&[("retry-after", "7"), ("ratelimit-remaining", "0"), ("ratelimit-reset", "50")]), 7);
}

/// L11: the quota that a service says, under each of the usual names.
#[test]
fn quotas_under_each_of_the_usual_names() {
    let quota = |headers: &[(&str, &str)]| Headers::new(&map(headers), now()).quota();
    let said = |limit, remaining, seconds| {
        Some(SaidQuota { limit, remaining, resets: now() + SignedDuration::from_secs(seconds) })
    };
    for prefix in ["x-ratelimit-", "ratelimit-", "x-rate-limit-", "x-ratelimit-requests-"] {
        let [limit, remaining, reset] = ["limit", "remaining", "reset"].map(|name| format!("{prefix}{name}"));
        let headers = [(limit.as_str(), "100, 100;w=60"), (remaining.as_str(), "7"), (reset.as_str(), "30")];
        assert_eq!(quota(&headers), said(100, 7, 30), "{prefix}");
    }
    let hubspot = [
        ("x-hubspot-ratelimit-max", "190"),
        ("x-hubspot-ratelimit-remaining", "182"),
        ("x-hubspot-ratelimit-interval-milliseconds", "10000"),
    ];
    assert_eq!(quota(&hubspot), said(190, 182, 10));
    let draft = [("ratelimit-policy", "\"default\";q=100;w=60"), ("ratelimit", "\"default\";r=50;t=30")];
    assert_eq!(quota(&draft), said(100, 50, 30));
    for broken in [
        &[("x-ratelimit-limit", "0"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "30")][..],
        &[("x-ratelimit-limit", "5"), ("x-ratelimit-remaining", "6"), ("x-ratelimit-reset", "30")],
        &[("x-ratelimit-limit", "5"), ("x-ratelimit-remaining", "-1"), ("x-ratelimit-reset", "30")],
        &[("x-ratelimit-limit", "5"), ("x-ratelimit-remaining", "5")],
        &[("x-ratelimit-limit", "5"), ("x-ratelimit-remaining", "5"), ("x-ratelimit-reset", "0")],
        &[("ratelimit", "\"default\";r=50")],
    ] {
        assert_eq!(quota(broken), None, "{broken:?}");
    }
    assert!(Headers::new(&map(&[("ratelimit", "\"default\";r=0;t=30")]), now()).is_exhausted());
    assert!(!Headers::new(&map(&[("x-ratelimit-remaining", "3")]), now()).is_exhausted());
}
