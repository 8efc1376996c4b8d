//! What the macros emit stands on its own, wherever it is put.

#![allow(dead_code, unreachable_pub, reason = "the modules are there to be compiled")]

#[path = "../hygiene/cfg.rs"]
mod cfg;
#[path = "../hygiene/documented.rs"]
pub mod documented;
#[path = "../hygiene/macro_rules.rs"]
mod macro_rules;
#[path = "../hygiene/no_prelude.rs"]
mod no_prelude;

use connector_core::link_type::LinkType;
use connector_core::options::Options;
use connector_core::registry::Registry;

/// R1.13
#[test]
fn connectors_in_all_surroundings_are_registered() {
    let registry = Registry::collect().unwrap();
    let ids: Vec<_> = registry.iter().map(|connector| connector.declaration.id).collect();
    assert_eq!(ids, ["configured", "documented", "from-macro", "no-prelude"]);
}

/// R1.1: a callback, an option and a status that are configured away leave nothing behind.
#[test]
fn what_is_configured_away_is_away() {
    let registry = Registry::collect().unwrap();
    let callbacks: Vec<_> = registry.get("configured").unwrap().callbacks().map(|(_, entry)| entry.name).collect();
    assert_eq!(callbacks, ["always"]);
    assert_eq!(registry.get("configured").unwrap().hooks.names().count(), 0);
    let statuses: Vec<_> = cfg::State::DECLARATION.statuses.iter().map(|status| status.id).collect();
    assert_eq!(statuses, ["open", "closed"]);
    assert_eq!(cfg::Settings::DECLARATION.fields.len(), 1);
}

/// R1.1
#[test]
fn pieces_of_macro_rules_are_understood() {
    let registry = Registry::collect().unwrap();
    let connector = registry.get("from-macro").unwrap();
    assert_eq!(connector.declaration.urls, ["https://example.com/*"]);
    let take = connector.callbacks().find(|(_, entry)| entry.name == "take").unwrap().1;
    let arguments = take.arguments_schema();
    assert!(
        arguments["properties"]["value"].is_object() && arguments["properties"]["channel"].is_object(),
        "{arguments}"
    );
}
