//! An emulator of a test's own, and a host with a connection to it.

use connector_core::id::ChannelId;
use connector_google::Google;
use connector_test_support::{Emulator, Synced};
use serde_json::json;

pub(crate) fn emulator() -> Option<Emulator> {
    Emulator::start("google")
}

/// A host with a connection that has synced this channel.
pub(crate) async fn synced(emulator: &Emulator, channel: &str) -> Synced {
    emulator.sync(emulator.host::<Google>(), ChannelId::new(channel), json!({ "history_days": 3650 })).await
}
