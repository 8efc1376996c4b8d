//! A program that names one connector crate.

use conn_a as _;
use connector_core::registry::Registry;

/// R1.13: naming the crate is all it takes, and a crate that is a dependency alone adds nothing.
#[test]
fn a_crate_that_is_named_is_in_the_registry() {
    let registry = Registry::collect().unwrap();
    let ids: Vec<_> = registry.iter().map(|connector| connector.declaration.id).collect();
    assert_eq!(ids, ["conn-a"]);
    let callbacks: Vec<_> = registry.get("conn-a").unwrap().callbacks().map(|(_, entry)| entry.name).collect();
    assert_eq!(callbacks, ["nothing"]);
}
