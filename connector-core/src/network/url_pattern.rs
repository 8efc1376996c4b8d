use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// URLs that a connector may reach, as one entry of its `urls` (R10.1).
///
/// - `https://api.example.com/*` or `https://api.example.com`: everything at this host;
/// - `https://api.example.com/v1`: this path and what is below it, so not `/v10`;
/// - `https://api.example.com/v1*`: every path that begins so, `/v10` too;
/// - `https://*.example.com`: every host below `example.com`, at any depth, but not itself;
/// - `*`: any http or https URL.
///
/// The scheme is compared, and so is the port, which is that of the scheme when none is written.
/// A URL with a user name or a password is never allowed.
///
/// ```
/// use connector_core::network::UrlPattern;
///
/// let pattern: UrlPattern = "https://*.example.com/v1".parse()?;
/// assert!(pattern.matches(&"https://eu.example.com/v1/users?page=2".parse()?));
/// assert!(!pattern.matches(&"https://example.com/v1/users".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlPattern {
    text: String,
    reach: Reach,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Reach {
    Anything,
    Below { scheme: String, host: HostPattern, port: Option<u16>, path: PathPattern },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum HostPattern {
    /// As `url` writes it: lower case, after IDNA, addresses in their usual form.
    Exactly(String),
    /// What the host ends in, with the dot before it.
    Below(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum PathPattern {
    Any,
    Prefix(String),
    /// Without a slash at its end.
    Segments(String),
}

/// Why a text is no [`UrlPattern`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is no URL pattern: {reason}")]
pub struct UrlPatternError {
    pattern: String,
    reason: String,
}

impl UrlPattern {
    /// Whether the pattern allows this URL.
    pub fn matches(&self, url: &Url) -> bool {
        if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
            return false;
        }
        match &self.reach {
            Reach::Anything => url.host().is_some(),
            Reach::Below { scheme, host, port, path } => {
                url.scheme() == scheme
                    && url.port_or_known_default() == *port
                    && host.matches(url)
                    && path.matches(url.path())
            }
        }
    }

    /// Everything at this URL's path and below it.
    fn below(base: &Url) -> Self {
        let reach = Reach::Below {
            scheme: base.scheme().to_owned(),
            host: HostPattern::Exactly(base.host_str().unwrap_or_default().to_owned()),
            port: base.port_or_known_default(),
            path: PathPattern::segments(base.path()),
        };
        Self { text: base[..url::Position::AfterPath].to_owned(), reach }
    }
}

impl HostPattern {
    fn matches(&self, url: &Url) -> bool {
        match self {
            Self::Exactly(host) => url.host_str() == Some(host),
            Self::Below(suffix) => match url.host() {
                Some(Host::Domain(host)) => host.strip_suffix(suffix.as_str()).is_some_and(|labels| !labels.is_empty()),
                _ => false,
            },
        }
    }
}

impl PathPattern {
    fn segments(path: &str) -> Self {
        match path.trim_end_matches('/') {
            "" => Self::Any,
            path => Self::Segments(path.to_owned()),
        }
    }

    fn matches(&self, path: &str) -> bool {
        let matches = match self {
            Self::Any => return true,
            Self::Prefix(prefix) => path.starts_with(prefix),
            Self::Segments(segments) => {
                path.strip_prefix(segments.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        };
        // `Url` has resolved the dot segments that it sees; a server may decode `..%2f` and then see one more.
        matches && !has_hidden_dot_segment(path)
    }
}

/// Whether a path gets a `.` or `..` segment by percent-decoding it, however often.
fn has_hidden_dot_segment(path: &str) -> bool {
    let mut path = path.as_bytes().to_vec();
    loop {
        // Some servers cut parameters off a segment (`..;x`) before they look at it.
        let name = |segment: &[u8]| segment.split(|byte| *byte == b';').next().unwrap_or_default().to_vec();
        let mut segments = path.split(|byte| matches!(byte, b'/' | b'\\')).map(name);
        if segments.any(|segment| segment == b"." || segment == b"..") {
            return true;
        }
        let decoded = percent_decode(&path);
        if decoded.len() == path.len() {
            return false;
        }
        path = decoded;
    }
}

fn percent_decode(text: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let byte = match (first, digit(after.first()), digit(after.get(1))) {
            (b'%', Some(high), Some(low)) => u8::try_from(high * 16 + low).ok(),
            _ => None,
        };
        decoded.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    decoded
}

/// What is wrong with the form of a pattern. `connector-macros` has a copy, to say it at compile time.
fn check_syntax(pattern: &str) -> Result<(), String> {
    if pattern == "*" {
        return Ok(());
    }
    let refuse = |reason: &str| Err(reason.to_owned());
    let Some((scheme, rest)) = pattern.split_once("://") else {
        return refuse("it begins with no scheme: write `https://api.example.com/*`, or `*` for any URL");
    };
    if !matches!(scheme, "https" | "http") {
        return Err(format!("its scheme must be `https` or `http`, not `{scheme}`"));
    }
    if pattern.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
        return refuse("it may not contain spaces, control characters or backslashes");
    }
    if pattern.contains(['?', '#']) {
        return refuse("it may not contain a query or a fragment; every query is allowed");
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.contains('@') {
        return refuse("it may not contain a user name or a password");
    }
    let port_at = authority.rfind(':').filter(|at| !authority.ends_with(']') && *at > 0);
    let (host, port) = authority.split_at(port_at.unwrap_or(authority.len()));
    if !port.is_empty() && port.strip_prefix(':').and_then(|port| port.parse::<u16>().ok()).is_none_or(|port| port == 0)
    {
        return refuse("its port must be a number from 1 to 65535");
    }
    let name = host.strip_prefix("*.").unwrap_or(host);
    if name.is_empty() || name.starts_with('.') {
        return refuse("it has no host");
    }
    if name.contains('*') {
        return refuse(
            "in a host, `*` may only stand for the first labels: `https://*.example.com`; `*` alone is any URL",
        );
    }
    if name != host && !name.trim_end_matches('.').contains('.') {
        return refuse("`*.` needs two labels after it, as in `https://*.example.com`; `*` alone is any URL");
    }
    if path.strip_suffix('*').unwrap_or(path).contains('*') {
        return refuse("in a path, `*` may only be the last character");
    }
    if path.to_ascii_lowercase().replace("%2e", ".").split('/').any(|segment| matches!(segment, "." | "..")) {
        return refuse("its path may not contain `.` or `..`");
    }
    Ok(())
}

impl FromStr for UrlPattern {
    type Err = UrlPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |reason: String| UrlPatternError { pattern: text.to_owned(), reason };
        check_syntax(text).map_err(refuse)?;
        if text == "*" {
            return Ok(Self { text: text.to_owned(), reach: Reach::Anything });
        }
        let below = text.contains("://*.");
        let (base, open) = match text.strip_suffix('*') {
            Some(base) => (base, true),
            None => (text, false),
        };
        let url = Url::parse(&base.replacen("://*.", "://", 1)).map_err(|error| refuse(error.to_string()))?;
        let host = match url.host() {
            Some(Host::Domain(host)) if below => HostPattern::Below(format!(".{host}")),
            Some(host) if !below => HostPattern::Exactly(host.to_string()),
            _ => return Err(refuse("`*.` cannot stand before an address".to_owned())),
        };
        let path = match url.path() {
            "/" => PathPattern::Any,
            path if open => PathPattern::Prefix(path.to_owned()),
            path => PathPattern::segments(path),
        };
        let reach = Reach::Below { scheme: url.scheme().to_owned(), host, port: url.port_or_known_default(), path };
        Ok(Self { text: text.to_owned(), reach })
    }
}

impl fmt::Display for UrlPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The URLs that a connector may reach: what it declares, and the API base that the operator sets.
/// Without a pattern, none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UrlRules {
    patterns: Vec<UrlPattern>,
}

impl UrlRules {
    /// What any of these patterns allows.
    pub fn new(patterns: Vec<UrlPattern>) -> Self {
        Self { patterns }
    }

    /// What any of these patterns allows; the first that is none is the error.
    pub fn parse(patterns: &[&str]) -> Result<Self, UrlPatternError> {
        Ok(Self::new(patterns.iter().map(|pattern| pattern.parse()).collect::<Result<_, _>>()?))
    }

    /// Allows this URL's path and everything below it, as an operator's own API base.
    pub fn push_base(&mut self, base: &Url) {
        self.patterns.push(UrlPattern::below(base));
    }

    /// Whether the URL may be reached.
    pub fn allows(&self, url: &Url) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(pattern: &str, url: &str) -> bool {
        UrlRules::parse(&[pattern]).unwrap().allows(&url.parse().unwrap())
    }

    /// R10.1
    #[test]
    fn a_host_allows_all_its_paths_and_nothing_else() {
        for pattern in [
            "https://api.example.com/*",
            "https://api.example.com/",
            "https://api.example.com",
            "https://API.example.com:443/*",
        ] {
            for url in [
                "https://api.example.com",
                "https://api.example.com/a/b?c=d#e",
                "https://API.EXAMPLE.COM:443/a",
                "https://api.example.com/a%2f..%2fb",
            ] {
                assert!(allows(pattern, url), "{pattern} {url}");
            }
            for url in [
                "http://api.example.com/",
                "https://api.example.com:8443/",
                "https://api.example.com.evil.test/",
                "https://evil.test/api.example.com/",
                "https://evil.test#api.example.com/",
                "https://evil.test?@api.example.com/",
                "https://api.example.com@evil.test/",
                "https://user@api.example.com/",
                "https://user:word@api.example.com/",
                "https://x.api.example.com/",
                "https://xapi.example.com/",
                "https://example.com/",
                "ftp://api.example.com/",
                "file:///etc/passwd",
                "data:text/plain,x",
            ] {
                assert!(!allows(pattern, url), "{pattern} {url}");
            }
        }
    }

    /// R10.1
    #[test]
    fn a_star_before_a_host_is_one_label_or_more() {
        for (url, allowed) in [
            ("https://eu.example.com/x", true),
            ("https://a.b.example.com/", true),
            ("https://EU.Example.COM/", true),
            ("https://example.com/", false),
            ("https://evilexample.com/", false),
            ("https://eu.example.com.evil.test/", false),
            ("https://eu.example.org/", false),
            ("http://eu.example.com/", false),
            ("https://10.0.0.1/", false),
        ] {
            assert_eq!(allows("https://*.example.com", url), allowed, "{url}");
        }
    }

    /// R10.1
    #[test]
    fn a_star_alone_is_every_web_url() {
        for (url, allowed) in [
            ("https://example.com:81/a", true),
            ("http://127.0.0.1/", true),
            ("http://[::1]:80/", true),
            ("https://user@example.com/", false),
            ("ws://example.com/", false),
            ("file:///etc/passwd", false),
        ] {
            assert_eq!(allows("*", url), allowed, "{url}");
        }
    }

    /// R10.1
    #[test]
    fn a_path_is_compared_on_whole_segments() {
        for (pattern, path, allowed) in [
            ("/v1", "/v1", true),
            ("/v1", "/v1/", true),
            ("/v1", "/v1/users", true),
            ("/v1", "/v1?a=/v2", true),
            ("/v1", "/v10", false),
            ("/v1", "/V1/users", false),
            ("/v1", "/v1%2fusers", false),
            ("/v1", "/", false),
            ("/v1/", "/v1/users", true),
            ("/v1/*", "/v1/users", true),
            ("/v1/*", "/v10/users", false),
            ("/v1/*", "/v1", false),
            ("/v1*", "/v10/users", true),
            ("/v1*", "/v2", false),
            ("/a b/*", "/a%20b/c", true),
        ] {
            let pattern = format!("https://api.example.com{}", pattern.replace(' ', "%20"));
            assert_eq!(allows(&pattern, &format!("https://api.example.com{path}")), allowed, "{pattern} {path}");
        }
    }

    /// R10.1: a server that decodes more than `Url` does must not be led out of the path.
    #[test]
    fn a_path_cannot_be_left() {
        for path in [
            "/v1/../admin",
            "/v1/%2e%2e/admin",
            "/v1/.%2E/admin",
            "/v1/..%2fadmin",
            "/v1/x%2f..%2f..%2fadmin",
            "/v1/x%2F%2e%2e%2Fadmin",
            "/v1/..%5cadmin",
            "/v1/..\\admin",
            "/v1/%252e%252e/admin",
            "/v1/%252e%252e%252fadmin",
            "/v1/%25252e%25252e%25252fadmin",
            "/v1/..;/admin",
            "/v1/..;a=b/admin",
            "/v1/%2e%2e%3b/admin",
        ] {
            for pattern in ["https://api.example.com/v1", "https://api.example.com/v1/*", "https://api.example.com/v1*"]
            {
                assert!(!allows(pattern, &format!("https://api.example.com{path}")), "{pattern} {path}");
            }
        }
        for path in ["/v1/group%2Fproject", "/v1/..x", "/v1/a..b/...", "/v1/100%", "/v1/%zz", "/v1/file.txt;v=1"] {
            assert!(allows("https://api.example.com/v1/*", &format!("https://api.example.com{path}")), "{path}");
        }
    }

    /// R10.1
    #[test]
    fn hosts_are_compared_after_idna_and_in_their_usual_form() {
        assert!(allows("https://bücher.example", "https://xn--bcher-kva.example/"));
        assert!(allows("https://xn--bcher-kva.example", "https://BÜCHER.example/"));
        assert!(allows("https://*.bücher.example", "https://a.xn--bcher-kva.example/"));
        assert!(allows("http://[::1]:8080/x", "http://[0:0:0:0:0:0:0:1]:8080/x"));
        assert!(allows("http://127.0.0.1:4000", "http://2130706433:4000/"));
        assert!(!allows("http://127.0.0.1:4000", "http://127.0.0.1:4001/"));
    }

    /// R10.1
    #[test]
    fn what_is_no_pattern_says_why() {
        for (pattern, reason) in [
            ("", "no scheme"),
            ("api.example.com/*", "no scheme"),
            ("*.example.com", "no scheme"),
            ("ftp://example.com", "not `ftp`"),
            ("HTTPS://example.com", "not `HTTPS`"),
            ("*://example.com", "not `*`"),
            ("https://", "no host"),
            ("https:///x", "no host"),
            ("https://*.", "no host"),
            ("https://:443", "host"),
            ("https://*", "first labels"),
            ("https://*/x", "first labels"),
            ("https://a.*.example.com", "first labels"),
            ("https://api*.example.com", "first labels"),
            ("https://*.*.example.com", "first labels"),
            ("https://*.com", "two labels"),
            ("https://*.com.", "two labels"),
            ("https://*.10.0.0.1", "address"),
            ("https://user@example.com", "user name"),
            ("https://user:word@example.com", "user name"),
            ("https://example.com:0", "port"),
            ("https://example.com:99999", "port"),
            ("https://example.com:", "port"),
            ("https://example.com:*", "port"),
            ("https://example.com/*/x", "last character"),
            ("https://example.com/**", "last character"),
            ("https://example.com/a/../b", "`..`"),
            ("https://example.com/%2E%2e/b", "`..`"),
            ("https://example.com/?q=*", "query"),
            ("https://example.com/#x", "fragment"),
            ("https://example.com/a b", "spaces"),
            ("https://example.com\\x", "backslashes"),
            ("https://exa<mple.com", "domain"),
            ("https://[::1", "IPv6"),
        ] {
            let error = pattern.parse::<UrlPattern>().unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains(pattern), "{pattern}: {error}");
        }
    }

    /// R10.1
    #[test]
    fn an_api_base_of_the_operator_allows_what_is_below_it() {
        let mut rules = UrlRules::default();
        assert!(!rules.allows(&"http://127.0.0.1:4000/api/v3".parse().unwrap()));
        rules.push_base(&"http://127.0.0.1:4000/api/v3/".parse().unwrap());
        for (url, allowed) in [
            ("http://127.0.0.1:4000/api/v3", true),
            ("http://127.0.0.1:4000/api/v3/repos?page=2", true),
            ("http://127.0.0.1:4000/api/v30", false),
            ("http://127.0.0.1:4000/", false),
            ("http://127.0.0.1:4001/api/v3", false),
            ("https://127.0.0.1:4000/api/v3", false),
        ] {
            assert_eq!(rules.allows(&url.parse().unwrap()), allowed, "{url}");
        }
    }
}
