//! Which places a walk has been to, in bounded memory.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Places that are remembered one by one.
const EXACT: usize = 64;

/// The places that a walk has been to, as short hashes.
///
/// The first 64 places are remembered one by one, which finds a list that leads back to its beginning at once. Of those
/// after them one is remembered, the last whose number is a power of two: a walk that goes round a cycle of n places
/// comes by it after at most about 3 n steps more (Brent's cycle detection). So the memory is bounded, and a cycle is
/// found wherever it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Seen {
    first: Vec<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mark: Option<u64>,
    steps: u64,
}

impl Seen {
    /// Whether the walk has been there, as far as it is remembered.
    pub(crate) fn contains(&self, place: u64) -> bool {
        self.first.contains(&place) || self.mark == Some(place)
    }

    /// The walk is there now.
    pub(crate) fn push(&mut self, place: u64) {
        self.steps += 1;
        if self.first.len() < EXACT {
            self.first.push(place);
        } else if self.steps.is_power_of_two() {
            self.mark = Some(place);
        }
    }
}

/// A hash that stays the same in every build and on every host: the first eight bytes of SHA-256.
pub(crate) fn short_hash(bytes: &[u8]) -> u64 {
    Sha256::digest(bytes).iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}
