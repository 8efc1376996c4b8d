//! A program that names no connector crate, although two are its dependencies.

use connector_core::registry::Registry;

/// R1.13: what no source names is not linked, and the registry says that it is empty.
#[test]
fn a_crate_that_is_not_named_is_not_in_the_registry() {
    assert!(Registry::collect().unwrap().is_empty());
}
