//! Secrets, and that they are nowhere but where they belong (L29): what a test's process logs at trace level, and what
//! it was answered, has none of those that are known.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

/// As much is kept, in bytes; what is older has been searched for what was known by then.
const KEPT: usize = 64 << 20;

/// How tokens begin that services hand out: one of these, and at least [`TOKEN_REST`] more characters of it, is a secret
/// that no test had to name. The tokens of users in the tests are shorter.
const TOKENS: &[&str] =
    &["gho_", "ghu_", "ghs_", "github_pat_", "xoxb-", "xoxp-", "xoxe.", "ya29.", "lin_oauth_", "lin_wh_"];

const TOKEN_REST: usize = 20;

static SEEN: LazyLock<Seen> = LazyLock::new(|| {
    let seen = Seen::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(seen.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).expect("nobody else takes the log of a test");
    seen
});

/// What was seen of a process, and what nobody may see.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    seen: Vec<u8>,
    secrets: BTreeSet<String>,
    /// Where a secret was seen in what is not kept any more.
    found: Option<String>,
}

impl Seen {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The line with a secret, if there is one.
    fn search(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.seen);
        let known = self.secrets.iter().find_map(|secret| text.find(secret).map(|at| (secret.as_str(), at)));
        let found = known.or_else(|| TOKENS.iter().find_map(|begin| token(&text, begin)));
        found.map(|(secret, at)| {
            let begin = text[..at].rfind('\n').map_or(0, |end| end + 1);
            let line: String = text[begin..].lines().next().unwrap_or_default().chars().take(2_000).collect();
            format!("`{secret}` is in: {line}")
        })
    }

    fn add(&mut self, bytes: &[u8]) {
        self.seen.extend_from_slice(bytes);
        if self.seen.len() > KEPT {
            if self.found.is_none() {
                self.found = self.search();
            }
            // Half of it stays, as its secrets may be known later.
            self.seen.drain(..KEPT / 2);
        }
    }
}

/// A token that begins like this, and where.
fn token<'a>(text: &'a str, begin: &str) -> Option<(&'a str, usize)> {
    text.match_indices(begin).find_map(|(at, _)| {
        let rest = &text[at + begin.len()..];
        let length = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)).count();
        (length >= TOKEN_REST).then(|| (&text[at..at + begin.len() + length], at))
    })
}

/// A secret as it may stand within Base64 of something longer, wherever it begins there: without what depends on its
/// neighbours, in both alphabets.
fn within_base64(secret: &str) -> impl Iterator<Item = String> {
    (0..3).flat_map(|before| {
        let mut bytes = vec![0; before];
        bytes.extend(secret.bytes());
        [STANDARD_NO_PAD, URL_SAFE_NO_PAD].map(|alphabet| {
            let encoded = alphabet.encode(&bytes);
            let (from, to) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
            encoded.get(from..to).unwrap_or_default().to_owned()
        })
    })
}

/// As it stands in the query of a URL or in a form.
fn in_query(secret: &str) -> String {
    url::form_urlencoded::byte_serialize(secret.as_bytes()).collect()
}

impl Write for Seen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.state().add(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Seen {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// These may not be seen, nor what they are in a URL, in JSON or in Base64. What is too short to be told from other text
/// is no secret.
pub fn know<'a>(secrets: impl IntoIterator<Item = &'a str>) {
    let long = secrets.into_iter().filter(|secret| secret.len() >= 8);
    let forms = long.flat_map(|secret| {
        let json = serde_json::to_string(secret).unwrap_or_default();
        let plain = [secret.to_owned(), in_query(secret), json.trim_matches('"').to_owned()];
        plain.into_iter().chain(within_base64(secret))
    });
    SEEN.state().secrets.extend(forms);
}

/// The same of a variable whose name says that its value is secret.
pub fn know_variable(name: &str, value: &str) {
    if ["_TOKEN", "_SECRET", "_KEY"].iter().any(|end| name.ends_with(end)) {
        know([value]);
    }
}

/// The same of the key that a host made for itself beside its database.
pub fn know_keys_in(directory: &Path) {
    for file in std::fs::read_dir(directory).expect("a directory") {
        let path = file.expect("a file").path();
        if path.extension().is_some_and(|extension| extension == "key") {
            let text = std::fs::read_to_string(&path).expect("keys");
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            know(lines.flat_map(str::split_whitespace));
        }
    }
}

/// Something that came out beside the log: a response, or what a program printed.
pub fn saw(bytes: &[u8]) {
    let mut state = SEEN.state();
    state.add(bytes);
    state.add(b"\n");
}

/// A piece of it, which goes on with the next one.
pub fn saw_piece(bytes: &[u8]) {
    SEEN.state().add(bytes);
}

/// The log of this process so far, and what it saw.
pub fn seen() -> String {
    String::from_utf8_lossy(&SEEN.state().seen).into_owned()
}

/// Takes the log of this process. When it is dropped, and the test has not failed by then, no secret that is known may
/// have been seen.
#[derive(Debug)]
#[must_use]
pub struct Watch(());

impl Watch {
    /// From here on.
    pub fn start() -> Self {
        LazyLock::force(&SEEN);
        Self(())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let found = {
            let state = SEEN.state();
            state.found.clone().or_else(|| state.search())
        };
        if let Some(found) = found {
            panic!("a secret was seen: {found}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a search finds of this text, after the secret is known.
    fn found(text: &str) -> Option<String> {
        know(["a secret/of ours"]);
        let secrets = SEEN.state().secrets.clone();
        State { seen: text.as_bytes().to_vec(), secrets, found: None }.search()
    }

    #[test]
    fn a_secret_is_found_in_each_of_its_forms() {
        for text in [
            "<a secret/of ours>",
            "?q=a+secret%2Fof+ours&x",
            "YSBzZWNyZXQvb2Ygb3Vycw",
            "token gho_0123456789abcdefghij",
        ] {
            assert!(found(text).is_some(), "{text}");
        }
        for before in ["", "x", "id:"] {
            let text = format!("Basic {}", STANDARD_NO_PAD.encode(format!("{before}a secret/of ours, and more")));
            assert!(found(&text).is_some(), "{text}");
        }
        for text in ["a secret of ours", "gho_short", "ghp_0123456789abcdefghij", "xoxb-emulator-alice"] {
            assert_eq!(found(text), None);
        }
    }
}
