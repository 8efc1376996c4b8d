//! An emulator of a test's own, and a host with a connection to it.

use connector_core::engine::LinkRow;
use connector_core::id::ChannelId;
use connector_core::model::Source;
use connector_core::testing::TestHost;
use connector_github::GitHub;
use connector_test_support::{Emulator, Synced};
use jiff::Timestamp;
use serde_json::Value;

pub(crate) fn emulator() -> Option<Emulator> {
    Emulator::start("github")
}

/// A host without connections, whose clock agrees with that of the emulator: what is dated in the future moves no
/// watermark.
pub(crate) fn host(emulator: &Emulator) -> TestHost {
    let host = emulator.host::<GitHub>();
    host.clock().set(Timestamp::now());
    host
}

/// A host with a connection that has these options, and has synced this repository.
pub(crate) async fn synced(emulator: &Emulator, repository: &str, options: Value) -> Synced {
    emulator.sync(host(emulator), ChannelId::new(repository), options).await
}

/// The issue or pull request with this id.
pub(crate) async fn saved(synced: &Synced, kind: &str, id: &Value) -> LinkRow {
    synced.link_of(Source::new("github", [kind, &id.to_string()])).await
}
