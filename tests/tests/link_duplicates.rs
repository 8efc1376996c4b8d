//! A program in which names clash.

use connector_core::prelude::*;
use connector_core::registry::Registry;

mod first {
    use super::*;

    #[connector(id = "twin")]
    #[derive(Default)]
    pub(super) struct First;

    #[connector]
    impl Connector for First {}
}

mod second {
    use super::*;

    #[connector(id = "twin")]
    #[derive(Default)]
    pub(super) struct Second;

    #[connector]
    impl Connector for Second {}
}

#[connector]
#[derive(Default)]
struct Repeated;

#[connector]
impl Connector for Repeated {}

#[connector]
impl Repeated {
    #[callback]
    async fn page(&self, _: &Context<Self>) -> Result<()> {
        Ok(())
    }
}

#[connector]
impl Repeated {
    #[callback(alias = "page")]
    async fn pages(&self, _: &Context<Self>) -> Result<()> {
        Ok(())
    }
}

/// R1.13: every clash is reported, each with both places.
#[test]
fn clashes_stop_the_start_up_with_both_places() {
    let errors = Registry::collect().unwrap_err();
    let [callbacks, connectors] = errors.0.as_slice() else { panic!("{errors}") };
    assert!(callbacks.contains("`repeated` has two callbacks with the name `page`"), "{callbacks}");
    assert!(connectors.contains("two connectors have the id `twin`"), "{connectors}");
    for error in [callbacks, connectors] {
        let places: Vec<_> = error.match_indices("tests/link_duplicates.rs:").collect();
        assert_eq!(places.len(), 2, "{error}");
    }
    let line = |text: &str| {
        let (_, rest) = text.split_once("link_duplicates.rs:").unwrap();
        let (line, _) = rest.split_once(':').unwrap();
        line.parse::<u32>().unwrap()
    };
    assert_ne!(line(connectors), line(connectors.split_once("one at").unwrap().1.split_once("one at").unwrap().1));
}
