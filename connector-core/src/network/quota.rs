//! Quotas that a connector declares, and which requests count against which quota.

use http::Method;
use jiff::SignedDuration;
use serde::Serialize;
use url::Url;

/// A quota of the service for some of its requests, from `quota("writes", 20, per = "10s", of = post("/send"))` of
/// `#[connector]` (R10.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct QuotaDeclaration {
    /// Name, distinct among the quotas of the connector.
    pub name: &'static str,
    /// Requests of an account that the service takes in a window.
    pub limit: u32,
    /// Length of the window in milliseconds.
    pub per_ms: u64,
    /// The requests that count against it; empty means all.
    pub of: &'static [RequestPattern],
}

/// Some of the requests of a connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RequestPattern {
    /// Their methods.
    pub methods: Methods,
    /// Their path below the base of the provider's API, or the whole path at another place. `*` stands for one segment,
    /// and at the end for one or more. `None` means every path.
    pub path: Option<&'static str>,
}

/// The methods of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Methods {
    /// Every method.
    Any,
    /// Methods that change nothing.
    Reads,
    /// All other methods.
    Writes,
    /// One method, in upper case.
    One(&'static str),
}

impl QuotaDeclaration {
    pub(super) fn counts(&self, method: &Method, url: &Url, base: &str) -> bool {
        self.of.is_empty() || self.of.iter().any(|pattern| pattern.matches(method, url, base))
    }

    pub(super) fn window(&self) -> SignedDuration {
        SignedDuration::from_millis(i64::try_from(self.per_ms).unwrap_or(i64::MAX))
    }
}

impl RequestPattern {
    fn matches(&self, method: &Method, url: &Url, base: &str) -> bool {
        let methods = match self.methods {
            Methods::Any => true,
            Methods::Reads => reads(method),
            Methods::Writes => !reads(method),
            Methods::One(name) => method.as_str() == name,
        };
        methods && self.path.is_none_or(|pattern| matches_path(pattern, below(url, base)))
    }
}

/// The path below the base of an API, if the URL is there; else the whole path.
fn below<'a>(url: &'a Url, base: &str) -> &'a str {
    let base = Url::parse(base).ok().filter(|base| base.origin() == url.origin());
    let below = base.and_then(|base| {
        let rest = url.path().strip_prefix(base.path().trim_end_matches('/'))?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    });
    below.unwrap_or(url.path())
}

fn matches_path(pattern: &str, path: &str) -> bool {
    let mut wanted = pattern.trim_matches('/').split('/').peekable();
    let mut given = path.trim_matches('/').split('/');
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some("*"), Some(_)) if wanted.peek().is_none() => return true,
            (Some("*"), Some(_)) => {}
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => return false,
        }
    }
}

/// Whether a method changes nothing: the safe methods of RFC 9110 9.2.1, and those of WebDAV and its extensions.
pub(super) fn reads(method: &Method) -> bool {
    method.is_safe() || ["PROPFIND", "REPORT", "SEARCH"].contains(&method.as_str())
}

/// Segments of a path that tell groups of requests apart.
const MAX_SEGMENTS: usize = 8;

/// What is alike in the paths of requests of one kind: ids in them are left out.
pub(super) fn template(path: &str) -> String {
    let mut template = String::new();
    for segment in path.split('/').filter(|segment| !segment.is_empty()).take(MAX_SEGMENTS) {
        let version = segment.strip_prefix('v').is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()));
        let word =
            segment.len() <= 32 && segment.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '-' | '.'));
        template.push('/');
        template.push_str(if word || (version && segment.len() <= 6) { segment } else { "*" });
    }
    template
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(methods: Methods, path: Option<&'static str>, method: &str, url: &str) -> bool {
        let of: &'static [RequestPattern] = Box::leak(Box::new([RequestPattern { methods, path }]));
        let quota = QuotaDeclaration { name: "q", limit: 1, per_ms: 1, of };
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        quota.counts(&method, &url.parse().unwrap(), "https://api.example.com/v1")
    }

    /// R10.11
    #[test]
    fn a_quota_counts_the_requests_that_it_names() {
        for (methods, path, method, url, counted) in [
            (Methods::One("POST"), Some("/send"), "POST", "https://api.example.com/v1/send?x=1", true),
            (Methods::One("POST"), Some("/send"), "GET", "https://api.example.com/v1/send", false),
            (Methods::One("POST"), Some("/send"), "POST", "https://api.example.com/v1/send/now", false),
            (Methods::One("POST"), Some("/send"), "POST", "https://other.example.com/send", true),
            (Methods::Writes, None, "PATCH", "https://api.example.com/v1/a", true),
            (Methods::Writes, None, "PROPFIND", "https://api.example.com/v1/a", false),
            (Methods::Reads, None, "PROPFIND", "https://api.example.com/v1/a", true),
            (Methods::Any, Some("/rooms/*/send/*"), "PUT", "https://api.example.com/v1/rooms/!a/send/m/1", true),
            (Methods::Any, Some("/rooms/*/send/*"), "PUT", "https://api.example.com/v1/rooms/!a/send", false),
            (Methods::Any, Some("/rooms/*/send"), "PUT", "https://api.example.com/v1/rooms/!a/send", true),
        ] {
            assert_eq!(counts(methods, path, method, url), counted, "{methods:?} {path:?} {method} {url}");
        }
    }

    /// L36
    #[test]
    fn requests_that_differ_in_ids_are_of_one_group() {
        for (path, like) in [
            ("/v1/items", "/v1/items"),
            ("/items/17/notes/3", "/items/*/notes/*"),
            ("/_matrix/client/v3/rooms/!a:b/send/m.room.message/1", "/_matrix/client/v3/rooms/*/send/m.room.message/*"),
            ("/batchModify", "/batchModify"),
            ("/", ""),
        ] {
            assert_eq!(template(path), like, "{path}");
        }
    }
}
