//! The form of URL patterns, checked at compile time.

use syn::LitStr;

use crate::errors::Errors;

/// Reports what is wrong with the form of a pattern.
pub(crate) fn check(pattern: &LitStr, errors: &Errors) {
    if let Err(reason) = check_syntax(&pattern.value()) {
        errors.at(pattern, format!("`{}` is no URL pattern: {reason}", pattern.value()));
    }
}

/// A copy of what `connector-core` checks when it reads a pattern: that crate cannot be used here,
/// and a crate for one function is not worth it.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// R1.12
    #[test]
    fn a_malformed_pattern_is_an_error() {
        for (pattern, good) in [
            ("*", true),
            ("https://api.example.com", true),
            ("https://api.example.com/v1/*", true),
            ("http://*.example.com:8080/*", true),
            ("http://[::1]:8080", true),
            ("api.example.com", false),
            ("ftp://api.example.com", false),
            ("https://", false),
            ("https://*", false),
            ("https://*.com", false),
            ("https://api.*.com", false),
            ("https://a.example.com:port/", false),
            ("https://a.example.com/*/b", false),
            ("https://a.example.com/?q", false),
            ("https://user@a.example.com/", false),
            ("", false),
        ] {
            assert_eq!(check_syntax(pattern).is_ok(), good, "{pattern}");
        }
    }
}
