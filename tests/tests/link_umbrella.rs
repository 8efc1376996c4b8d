//! A program that names a crate that passes on the connector crates.

use connector_core::registry::Registry;
use umbrella as _;

/// R1.13: the list is sorted, whatever the order of linking is.
#[test]
fn crates_behind_an_umbrella_are_in_the_registry() {
    let registry = Registry::collect().unwrap();
    let ids: Vec<_> = registry.iter().map(|connector| connector.declaration.id).collect();
    assert_eq!(ids, ["conn-a", "conn-b"]);
}

/// A crate that has another name for the framework declares everything that the macros offer.
#[test]
fn a_crate_with_another_name_for_the_framework_works() {
    let registry = Registry::collect().unwrap();
    let connector = registry.get("conn-b").unwrap();
    let callbacks: Vec<_> = connector.callbacks().map(|(tool, entry)| (tool, entry.name)).collect();
    assert_eq!(
        callbacks,
        [("", "changed"), ("", "nothing"), ("", "pushed"), ("", "tidy"), ("", "walk"), ("helper", "help")]
    );
    assert_eq!(connector.declaration.options.field("window").unwrap().label, "Window");
    assert_eq!(connector.declaration.link_types.len(), 2);
}
