//! An emulator of a test's own, and a host with a connection to it.

use connector_core::engine::LinkRow;
use connector_core::id::ChannelId;
use connector_linear::Linear;
use connector_test_support::{Emulator, Synced};
use http::Method;
use serde_json::{Value, json};

pub(crate) fn emulator() -> Option<Emulator> {
    Emulator::start("linear")
}

/// As someone who works on Linear.
pub(crate) async fn linear(emulator: &Emulator, query: &str, variables: Value) -> Value {
    emulator.call(Method::POST, "", json!({ "query": query, "variables": variables })).await["data"].take()
}

/// The issue with this identifier, as it is now.
pub(crate) async fn issue(emulator: &Emulator, identifier: &str) -> Value {
    let fields = "id identifier title description priority state { id } assignee { id } labels { nodes { name } } \
                  comments(first: 100) { nodes { id body user { id } } }";
    let query = format!("query($id: String!) {{ issue(id: $id) {{ {fields} }} }}");
    linear(emulator, &query, json!({ "id": identifier })).await["issue"].take()
}

/// A host with a connection that has synced this team.
pub(crate) async fn synced(emulator: &Emulator, team: &str) -> Synced {
    let teams = emulator.all("teams").await;
    let team = teams.iter().find(|known| known["key"] == team).expect("the team is there");
    let team = ChannelId::new(team["linear_id"].as_str().expect("an id"));
    emulator.sync(emulator.host::<Linear>(), team, json!({ "history_days": 3650 })).await
}

/// The link of the issue with this identifier.
pub(crate) async fn saved(synced: &Synced, identifier: &str) -> LinkRow {
    let links = synced.links().await;
    let found = links.into_iter().find(|row| row.link.raw_meta["identifier"] == identifier);
    found.unwrap_or_else(|| panic!("{identifier} was not saved"))
}
