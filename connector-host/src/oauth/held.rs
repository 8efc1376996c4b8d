//! Credentials in memory, as the store has them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use connector_core::credential::Credential;
use connector_core::engine::{CommitListener, Committed};

/// Credentials that are kept in memory; beyond it, all are forgotten and read again as they are needed.
const MAX_HELD: usize = 10_000;

/// The credentials that were read from the store and not stored anew since, by the names of their secrets.
#[derive(Default)]
pub(super) struct HeldCredentials {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    by_name: HashMap<String, Arc<Credential>>,
    /// Number of secrets that were stored or removed.
    changes: u64,
}

/// A moment before a credential was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(u64);

impl HeldCredentials {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The credential, or the moment at which it was not here.
    pub(super) fn get(&self, name: &str) -> Result<Arc<Credential>, Moment> {
        let held = self.held();
        held.by_name.get(name).map(Arc::clone).ok_or(Moment(held.changes))
    }

    pub(super) fn now(&self) -> Moment {
        Moment(self.held().changes)
    }

    /// Keeps what was read after this moment, unless a secret was stored or removed meanwhile.
    pub(super) fn hold(&self, since: Moment, name: &str, credential: Credential) -> Arc<Credential> {
        let credential = Arc::new(credential);
        let mut held = self.held();
        if held.changes == since.0 {
            if held.by_name.len() >= MAX_HELD {
                held.by_name.clear();
            }
            held.by_name.insert(name.to_owned(), Arc::clone(&credential));
        }
        credential
    }
}

impl CommitListener for HeldCredentials {
    fn committed(&self, sets: &mut dyn Iterator<Item = &Committed>) {
        for name in sets.flat_map(|set| &set.secrets) {
            let mut held = self.held();
            held.changes += 1;
            held.by_name.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use connector_core::secret::Secret;

    use super::*;

    fn token(text: &str) -> Credential {
        Credential::new(Secret::new(text))
    }

    fn stored(held: &HeldCredentials, name: &str) {
        let set = Committed { secrets: vec![name.to_owned()], ..Committed::default() };
        held.committed(&mut std::iter::once(&set));
    }

    #[test]
    fn what_is_stored_anew_is_read_anew() {
        let held = HeldCredentials::default();
        let before = held.get("credential/1").expect_err("nothing is held");
        held.hold(before, "credential/1", token("first"));
        assert_eq!(held.get("credential/1").expect("it is held").access_token.expose(), "first");
        stored(&held, "credential/1");
        let read = held.get("credential/1").expect_err("it was stored anew");
        stored(&held, "credential/1");
        held.hold(read, "credential/1", token("second"));
        assert_eq!(held.get("credential/1").err(), Some(held.now()), "the one that was read is not the last");
    }
}
