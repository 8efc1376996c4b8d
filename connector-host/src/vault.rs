//! Sealing with XChaCha20-Poly1305, under keys that can be replaced (design 7).
//!
//! What is stored is sealed under data keys. Those are in the store too, sealed under the operator's
//! keys, which are in the environment or a file (envelope encryption). So another operator's key costs
//! no more than sealing a few data keys anew, and callback tokens that services keep stay good.
//!
//! Sealed text is base64url without padding of: a version byte, the first bytes of the key's
//! fingerprint, the nonce, the ciphertext with its tag. The nonce is random, for which the 24 bytes of
//! XChaCha are long enough however much is sealed. The associated data is that of the [`SealContext`]: the
//! purpose and, for what the store keeps, the row and the field that hold the value. So a sealed value that was
//! copied to another row does not open there.
//!
//! Version 1 has the purpose alone as associated data. It is the form of tokens that others keep, and of what the
//! store kept before it had places; the latter still opens, and the host seals it anew when it opens such a database.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use connector_core::ports::{SealContext, Vault, VaultError};
use connector_core::secret::Secret;
use connector_core::whole_file;
use sha2::{Digest, Sha256};

/// The form of sealed text whose associated data is the purpose alone.
const UNBOUND: u8 = 1;

/// The form of sealed text whose associated data is purpose and place.
const BOUND: u8 = 2;

const KEY_ID_LENGTH: usize = 3;
const NONCE_LENGTH: usize = 24;

/// A key is at least this long, in characters.
const SHORTEST_KEY: usize = 32;

/// A key file is no longer than this, in bytes.
const LONGEST_FILE: u64 = 64 * 1024;

/// Why there is no vault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// There are no keys in what was given.
    #[error(
        "{origin} holds no key: it needs one of at least {SHORTEST_KEY} characters, as `openssl rand -base64 32` makes it"
    )]
    Missing {
        /// The file or variable.
        origin: String,
    },
    /// A key can be guessed.
    #[error(
        "the key in {origin} has {length} characters, and needs at least {SHORTEST_KEY}: make one with `openssl rand -base64 32`"
    )]
    Short {
        /// The file or variable.
        origin: String,
        /// How long it is.
        length: usize,
    },
    /// It is no text, or holds characters that nobody would put into a key.
    #[error(
        "{origin} is damaged: a key is one line of printable ASCII characters. Restore it from a backup; what is sealed cannot be read without it"
    )]
    Garbled {
        /// The file or variable.
        origin: String,
    },
    /// The file cannot be read or made.
    #[error("the key file {} cannot be {doing}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// `read` or `made`.
        doing: &'static str,
        /// What the operating system said.
        reason: io::Error,
    },
    /// What the database holds is sealed under another key.
    #[error(
        "the database is sealed under the key `{sealed_under}`, and {origin} holds {held}: restore the key that was used before, or add it below the new one"
    )]
    Another {
        /// The id of the key that is needed.
        sealed_under: String,
        /// Where keys were looked for.
        origin: String,
        /// What was found there.
        held: String,
    },
    /// A data key in the database does not open.
    #[error("the data key `{id}` in the database is missing or damaged: restore the database from a backup")]
    DataKey {
        /// Its id.
        id: String,
    },
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes: {0}")]
    NoRandomness(String),
}

/// The seal context of a data key, which is sealed under an operator's key: its id.
fn data_key_context(id: &str) -> SealContext<'_> {
    SealContext::stored("data key", id)
}

/// A key and what sealed text calls it.
struct SealingKey {
    id: [u8; KEY_ID_LENGTH],
    cipher: XChaCha20Poly1305,
}

/// A key of the store.
struct DataKey {
    key: SealingKey,
    bytes: [u8; 32],
}

struct Keys {
    /// The operator's. The first seals data keys, all of them open.
    operator: Vec<SealingKey>,
    /// The first seals, all of them open.
    data: Vec<DataKey>,
}

/// The keys of a host.
pub struct KeyVault {
    keys: RwLock<Keys>,
    origin: String,
}

impl std::fmt::Debug for KeyVault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<_> = self.keys().operator.iter().map(|key| hex(&key.id)).collect();
        f.debug_struct("KeyVault").field("keys", &ids).finish_non_exhaustive()
    }
}

impl KeyVault {
    /// Takes keys from a text: one in each line, or between commas; the newest first. What follows
    /// a `#` at the beginning of a line is a comment. `origin` is what errors call the text.
    pub fn from_text(text: &Secret, origin: impl Into<String>) -> Result<Self, KeyError> {
        let origin = origin.into();
        // What seals must be able to count on random bytes from here on.
        getrandom::fill(&mut [0; NONCE_LENGTH]).map_err(|error| KeyError::NoRandomness(error.to_string()))?;
        let lines = text.expose().lines().filter(|line| !line.trim_start().starts_with('#'));
        let (mut operator, mut data) = (Vec::new(), Vec::new());
        for key in lines.flat_map(|line| line.split([',', ' ', '\t'])).filter(|key| !key.is_empty()) {
            if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(KeyError::Garbled { origin });
            }
            if key.len() < SHORTEST_KEY {
                return Err(KeyError::Short { origin, length: key.len() });
            }
            let (sealing, derived) = derive(key);
            operator.push(sealing);
            data.push(derived);
        }
        if operator.is_empty() {
            return Err(KeyError::Missing { origin });
        }
        Ok(Self { keys: RwLock::new(Keys { operator, data }), origin })
    }

    /// Reads the keys of a file.
    pub fn from_file(path: &Path) -> Result<Self, KeyError> {
        let fail = |reason| KeyError::File { path: path.to_owned(), doing: "read", reason };
        let mut bytes = Vec::new();
        File::open(path).and_then(|file| file.take(LONGEST_FILE).read_to_end(&mut bytes)).map_err(fail)?;
        let origin = format!("the key file {}", path.display());
        match String::from_utf8(bytes) {
            Ok(text) => Self::from_text(&Secret::new(text), origin),
            Err(_) => Err(KeyError::Garbled { origin }),
        }
    }

    /// Makes a file with a new key, for the user of this process alone (mode 0600). The file is written whole or not
    /// at all, and the log says once that it was made. A file that is there already is read.
    pub fn make_file(path: &Path) -> Result<Self, KeyError> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| KeyError::NoRandomness(error.to_string()))?;
        let text = format!(
            "# Seals credentials. Keep a copy apart from the database: without it they cannot be read.\n{}\n",
            URL_SAFE_NO_PAD.encode(key)
        );
        let fail = |reason| KeyError::File { path: path.to_owned(), doing: "made", reason };
        match whole_file::create_private(path, text.as_bytes()) {
            Ok(()) => {
                tracing::warn!(
                    "a new key is in the file {}, and seals all credentials: keep a copy of it apart from the database",
                    path.display()
                );
            }
            // Another process has made it at the same time.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(fail(error)),
        }
        Self::from_file(path)
    }

    /// The id of the operator's key that seals data keys.
    pub fn key_id(&self) -> String {
        self.keys().operator.first().map(|key| hex(&key.id)).unwrap_or_default()
    }

    fn keys(&self) -> RwLockReadGuard<'_, Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, Keys> {
        self.keys.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses a vault that lacks the operator's key that a database was sealed under.
    pub fn require(&self, sealed_under: &str) -> Result<(), KeyError> {
        let held: Vec<_> = self.keys().operator.iter().map(|key| hex(&key.id)).collect();
        if held.iter().any(|id| id == sealed_under) {
            return Ok(());
        }
        let held: Vec<_> = held.iter().map(|id| format!("`{id}`")).collect();
        Err(KeyError::Another {
            sealed_under: sealed_under.to_owned(),
            origin: self.origin.clone(),
            held: held.join(", "),
        })
    }

    /// Takes the operator's keys of another vault in place of its own: they were changed while it runs.
    pub(crate) fn take_operator_keys(&self, other: Self) {
        let other = other.keys.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut keys = self.change();
        keys.operator = other.operator;
        for derived in other.data {
            if keys.data.iter().all(|known| known.key.id != derived.key.id) {
                keys.data.push(derived);
            }
        }
    }

    /// The data keys as they are stored: id, and sealed under the operator's first key. The one that seals comes first.
    pub(crate) fn sealed_data_keys(&self) -> Vec<(String, String)> {
        let keys = self.keys();
        let Some(operator) = keys.operator.first() else { return Vec::new() };
        let sealed = keys.data.iter().map(|data| {
            let id = hex(&data.key.id);
            let sealed = operator.seal(&data_key_context(&id), &data.bytes);
            (id, sealed)
        });
        sealed.collect()
    }

    /// Takes the data keys of the store; the named one seals from now on.
    pub(crate) fn take_data_keys(&self, sealed: &[(String, String)], first: &str) -> Result<(), KeyError> {
        let mut keys = self.change();
        for (id, sealed) in sealed {
            let damaged = || KeyError::DataKey { id: id.clone() };
            let plain =
                open_with(keys.operator.iter(), &data_key_context(id), sealed).map_err(|error| match error {
                    VaultError::UnknownKey(sealed_under) => KeyError::Another {
                        sealed_under,
                        origin: self.origin.clone(),
                        held: keys
                            .operator
                            .iter()
                            .map(|key| format!("`{}`", hex(&key.id)))
                            .collect::<Vec<_>>()
                            .join(", "),
                    },
                    _ => damaged(),
                })?;
            let bytes: [u8; 32] = plain.try_into().map_err(|_| damaged())?;
            let id = unhex(id).and_then(|id| id.try_into().ok()).ok_or_else(damaged)?;
            keys.data.retain(|known| known.key.id != id);
            keys.data.push(DataKey::new(id, bytes));
        }
        match keys.data.iter().position(|data| hex(&data.key.id) == first) {
            Some(place) => {
                let first = keys.data.remove(place);
                keys.data.insert(0, first);
                Ok(())
            }
            None => Err(KeyError::DataKey { id: first.to_owned() }),
        }
    }

    /// Makes a data key, which seals from now on; its id.
    pub(crate) fn make_data_key(&self) -> String {
        let mut keys = self.change();
        loop {
            let id: [u8; KEY_ID_LENGTH] = random_bytes();
            if keys.data.iter().all(|known| known.key.id != id) {
                keys.data.insert(0, DataKey::new(id, random_bytes()));
                return hex(&id);
            }
        }
    }

    /// Whether a value that the store keeps is sealed under the key that seals now, and bound to its place.
    pub(crate) fn is_current(&self, sealed: &str) -> bool {
        let keys = self.keys();
        let bytes = URL_SAFE_NO_PAD.decode(sealed).unwrap_or_default();
        let current = |first: &DataKey| bytes.get(1..=KEY_ID_LENGTH) == Some(first.key.id.as_slice());
        bytes.first() == Some(&BOUND) && keys.data.first().is_some_and(current)
    }

    /// Whether a sealed value is bound to its place.
    pub(crate) fn is_bound(sealed: &str) -> bool {
        URL_SAFE_NO_PAD.decode(sealed).is_ok_and(|bytes| bytes.first() == Some(&BOUND))
    }
}

impl DataKey {
    fn new(id: [u8; KEY_ID_LENGTH], bytes: [u8; 32]) -> Self {
        Self { key: SealingKey { id, cipher: XChaCha20Poly1305::new(&Key::from(bytes)) }, bytes }
    }
}

/// An operator's key from its text, however that is written; and the data key that databases were sealed under
/// before they had any of their own.
fn derive(text: &str) -> (SealingKey, DataKey) {
    let digest = |purpose: &[u8]| -> [u8; 32] {
        Sha256::new().chain_update(purpose).chain_update(text.as_bytes()).finalize().into()
    };
    let mut id = [0; KEY_ID_LENGTH];
    for (to, from) in id.iter_mut().zip(digest(b"connectors key id\0")) {
        *to = from;
    }
    let cipher = XChaCha20Poly1305::new(&Key::from(digest(b"connectors operator key\0")));
    (SealingKey { id, cipher }, DataKey::new(id, digest(b"connectors vault key\0")))
}

impl SealingKey {
    fn seal(&self, context: &SealContext<'_>, plain: &[u8]) -> String {
        // Of this thread's generator, which the operating system seeds: no call of it for each.
        let nonce: [u8; NONCE_LENGTH] = rand::random();
        let payload = Payload { msg: plain, aad: &context.associated_data() };
        // Fails for more than 256 GiB alone; what comes of that does not open.
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).unwrap_or_default();
        let mut bytes = Vec::with_capacity(1 + KEY_ID_LENGTH + NONCE_LENGTH + sealed.len());
        bytes.push(if context.place().is_some() { BOUND } else { UNBOUND });
        bytes.extend(self.id);
        bytes.extend(nonce);
        bytes.extend(sealed);
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

fn open_with<'a>(
    mut keys: impl Iterator<Item = &'a SealingKey>,
    context: &SealContext<'_>,
    sealed: &str,
) -> Result<Vec<u8>, VaultError> {
    let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| VaultError::NotSealed)?;
    let (version, rest) = bytes.split_first().ok_or(VaultError::NotSealed)?;
    let (id, rest) = rest.split_first_chunk::<KEY_ID_LENGTH>().ok_or(VaultError::NotSealed)?;
    let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LENGTH>().ok_or(VaultError::NotSealed)?;
    let associated = match (*version, context.place()) {
        (BOUND, Some(_)) => context.associated_data(),
        (UNBOUND, _) => SealContext::token(context.purpose()).associated_data(),
        (BOUND, None) => return Err(VaultError::Forged),
        _ => return Err(VaultError::NotSealed),
    };
    let key = keys.find(|key| key.id == *id).ok_or_else(|| VaultError::UnknownKey(hex(id)))?;
    let payload = Payload { msg: ciphertext, aad: &associated };
    key.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| VaultError::Forged)
}

/// Random bytes of the operating system.
fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        // It gave some when the vault was made. With bytes that can be guessed, nothing would be safe.
        tracing::error!("the operating system gives no random bytes any more: {error}");
        std::process::abort();
    }
    bytes
}

impl Vault for KeyVault {
    fn seal(&self, context: &SealContext<'_>, plain: &[u8]) -> String {
        // There is always one.
        self.keys().data.first().map(|data| data.key.seal(context, plain)).unwrap_or_default()
    }

    fn open(&self, context: &SealContext<'_>, sealed: &str) -> Result<Vec<u8>, VaultError> {
        open_with(self.keys().data.iter().map(|data| &data.key), context, sealed)
    }

    fn random(&self) -> [u8; 16] {
        rand::random()
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

/// The bytes of hexadecimal digits; none if they are none.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// A secret that nobody can guess: 32 random bytes as text.
pub(crate) fn random_secret() -> Secret {
    Secret::new(URL_SAFE_NO_PAD.encode(random_bytes::<32>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(keys: &str) -> KeyVault {
        KeyVault::from_text(&Secret::new(keys), "the test").expect("keys")
    }

    fn key(name: &str) -> String {
        format!("{name}-a-key-that-is-long-enough-0123456789")
    }

    fn credential(place: &str) -> SealContext<'_> {
        SealContext::stored("credential", place)
    }

    /// Design 7
    #[test]
    fn a_sealed_value_opens_for_its_purpose_and_place_only() {
        let vault = vault(&key("one"));
        let sealed = vault.seal(&credential("credential/1"), b"secret");
        assert!(!sealed.contains("secret"));
        assert_eq!(vault.open(&credential("credential/1"), &sealed), Ok(b"secret".to_vec()));
        let others = [
            credential("credential/2"),
            credential(""),
            SealContext::stored("option", "credential/1"),
            SealContext::token("credential"),
            SealContext::token("credential\0credential/1"),
        ];
        for other in others {
            assert_eq!(vault.open(&other, &sealed), Err(VaultError::Forged), "{other:?}");
        }
        assert_ne!(vault.seal(&credential("credential/1"), b"secret"), sealed, "a nonce is used once");
    }

    /// Design 7: a log that shows the vault shows which keys it has, and no key.
    #[test]
    fn keys_are_shown_by_their_ids() {
        let vault = vault(&format!("{}\n{}", key("one"), key("two")));
        let shown = format!("{vault:?}");
        assert!(shown.starts_with("KeyVault") && shown.contains(&vault.key_id()), "{shown}");
        assert!(!shown.contains("long-enough"), "{shown}");
    }

    /// R7.1: what was sealed before values had places.
    #[test]
    fn a_value_of_the_earlier_form_opens_for_its_purpose() {
        let vault = vault(&key("one"));
        let sealed = vault.seal(&SealContext::token("credential"), b"secret");
        assert!(!KeyVault::is_bound(&sealed) && !vault.is_current(&sealed));
        assert_eq!(vault.open(&credential("credential/1"), &sealed), Ok(b"secret".to_vec()));
        assert_eq!(vault.open(&SealContext::stored("option", "credential/1"), &sealed), Err(VaultError::Forged));
        let sealed = vault.seal(&credential("credential/1"), b"secret");
        assert!(KeyVault::is_bound(&sealed) && vault.is_current(&sealed));
    }

    /// Design 7
    #[test]
    fn a_data_key_opens_under_its_own_id_only() {
        let sealing = vault(&key("one"));
        let (first, second) = (sealing.make_data_key(), sealing.make_data_key());
        let stored = sealing.sealed_data_keys();
        let named = |id: &str| stored.iter().find(|(known, _)| known == id).expect("it is stored").1.clone();
        let opening = vault(&key("one"));
        assert!(opening.take_data_keys(&[(first.clone(), named(&first))], &first).is_ok());
        let swapped = [(first.clone(), named(&second))];
        assert!(matches!(opening.take_data_keys(&swapped, &first), Err(KeyError::DataKey { .. })));
    }

    /// Design 7
    #[test]
    fn what_was_changed_anywhere_does_not_open() {
        let vault = vault(&key("one"));
        let context = credential("credential/1");
        let sealed = vault.seal(&context, b"secret");
        let bytes = URL_SAFE_NO_PAD.decode(&sealed).expect("base64url");
        for position in 0..bytes.len() {
            for bit in [1, 3] {
                let mut changed = bytes.clone();
                changed[position] ^= bit;
                let opened = vault.open(&context, &URL_SAFE_NO_PAD.encode(&changed));
                assert!(opened.is_err(), "byte {position}");
            }
        }
        for length in 0..bytes.len() {
            let opened = vault.open(&context, &URL_SAFE_NO_PAD.encode(&bytes[..length]));
            assert!(opened.is_err(), "{length} bytes");
        }
        for text in ["", "=", "not base64!", "🔑"] {
            assert_eq!(vault.open(&context, text), Err(VaultError::NotSealed), "{text}");
        }
    }

    /// Design 7
    #[test]
    fn another_key_does_not_open_and_an_added_one_does() {
        let old = vault(&key("one"));
        let context = credential("credential/1");
        let sealed = old.seal(&context, b"secret");
        let other = vault(&key("two"));
        assert_eq!(other.open(&context, &sealed), Err(VaultError::UnknownKey(old.key_id())));
        assert!(other.require(&old.key_id()).is_err());
        let both = vault(&format!("{}\n{}\n", key("two"), key("one")));
        assert_eq!(both.open(&context, &sealed), Ok(b"secret".to_vec()));
        assert_eq!(both.key_id(), other.key_id());
        assert!(both.require(&old.key_id()).is_ok());
    }

    /// R4.3: some services take no more than 256 characters in a channel's token.
    #[test]
    fn a_small_token_is_short() {
        assert!(vault(&key("one")).seal(&SealContext::token("callback"), &[0; 130]).len() <= 240);
    }

    /// Design 7
    #[test]
    fn what_is_no_key_is_refused_with_what_to_do() {
        let error =
            |text: &str| KeyVault::from_text(&Secret::new(text), "CONNECTORS_SECRET_KEY").expect_err(text).to_string();
        for (text, expected) in [
            ("", "holds no key"),
            ("# only a comment\n", "holds no key"),
            ("short", "has 5 characters, and needs at least 32"),
            ("kéy-that-is-long-enough-0123456789-abc", "is damaged"),
            ("key-that-is-long-enough-\u{0}-0123456789", "is damaged"),
        ] {
            let error = error(text);
            assert!(error.contains(expected) && error.contains("CONNECTORS_SECRET_KEY"), "{error}");
            assert!(!error.contains("short:"), "no error shows a key: {error}");
        }
        let shown = format!("{:?}", vault(&key("one")));
        assert!(!shown.contains("one-"), "{shown}");
    }
}
