use connector_core::prelude::*;
use connector_core::registry::Registry;
use connector_core::runtime::{ActionError, ConnectRequest};
use connector_core::testing::TestHost;

use crate::fixture::{Lab, Plain, quiet};

mod other {
    use super::*;

    /// Another connector that calls itself `lab`.
    #[connector(id = "lab")]
    #[derive(Default)]
    pub(super) struct OtherLab;

    #[connector]
    impl Connector for OtherLab {}
}

#[connector(id = "repeated")]
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

    #[callback]
    async fn user(&self, _: &Context<Self>) -> Result<()> {
        Ok(())
    }
}

#[connector]
impl Repeated {
    #[callback(name = "page")]
    async fn another(&self, _: &Context<Self>) -> Result<()> {
        Ok(())
    }

    #[callback(alias = "user")]
    async fn users(&self, _: &Context<Self>) -> Result<()> {
        Ok(())
    }
}

/// The places in this file that a message names.
fn places(error: &str) -> Vec<&str> {
    error
        .match_indices("tests/it/registry.rs:")
        .map(|(at, _)| error[at..].split([' ', ';', ',']).next().unwrap())
        .collect()
}

/// R1.13, R1.14: in the order of their ids, whatever the order in which they come.
#[test]
fn connectors_and_callbacks_are_sorted() {
    let (lab, plain) = (Registry::of::<Lab>().unwrap(), Registry::of::<Plain>().unwrap());
    for registry in [lab.clone().merge(plain.clone()).unwrap(), plain.merge(lab).unwrap()] {
        let ids: Vec<_> = registry.iter().map(|connector| connector.declaration.id).collect();
        assert_eq!(ids, ["lab", "plain"]);
        assert_eq!(registry.len(), 2);
        let lab = registry.get("lab").unwrap();
        let names: Vec<_> = lab.callbacks().map(|(_, callback)| callback.name).collect();
        assert_eq!(names, ["act", "act_in", "add", "changed", "items", "keep", "people", "pressed", "swept", "tick"]);
        assert!(registry.get("labb").is_none());
    }
    assert!(Registry::default().is_empty());
}

/// R1.13
#[test]
fn two_connectors_with_one_id_are_reported_with_both_places() {
    let (first, second) = (Registry::of::<Lab>().unwrap(), Registry::of::<other::OtherLab>().unwrap());
    let errors = first.merge(second).unwrap_err();
    let [error] = errors.0.as_slice() else { panic!("{errors}") };
    assert!(error.contains("two connectors have the id `lab`"), "{error}");
    let places = places(error);
    assert_eq!(places.len(), 2, "{error}");
    assert_ne!(places[0], places[1]);
}

/// R1.13: all clashes at once, and a former name is a name.
#[test]
fn two_callbacks_with_one_name_are_reported_with_both_places() {
    let errors = Registry::of::<Repeated>().unwrap_err();
    let [page, user] = errors.0.as_slice() else { panic!("{errors}") };
    for (error, name) in [(page, "page"), (user, "user")] {
        assert!(error.contains(&format!("`repeated` has two callbacks with the name `{name}`")), "{error}");
        let places = places(error);
        assert_eq!(places.len(), 2, "{error}");
        assert_ne!(places[0], places[1]);
    }
}

mod combined {
    use connector_core::prelude::*;

    /// Work for a product that there is not.
    #[connector]
    #[derive(Default)]
    pub(super) struct Combined;

    #[connector]
    impl Connector for Combined {}

    #[connector]
    impl Combined {
        #[sync(every = "1h", product = "mails")]
        async fn walk(&self, _: &Context<Self>, channel: ChannelId, _after: Option<u64>) -> Result<Step<u64>> {
            drop(channel);
            Ok(Step::Done(0))
        }
    }
}

/// R1.10: work is for a product that is declared.
#[test]
fn work_for_an_unknown_product_is_reported() {
    let errors = Registry::of::<combined::Combined>().unwrap_err();
    let [error] = errors.0.as_slice() else { panic!("{errors}") };
    assert!(error.contains("`walk` of `combined`") && error.contains("`mails`"), "{error}");
    assert_eq!(places(error).len(), 1, "{error}");
}

/// R1.14: everything that is declared can be read by a machine.
#[test]
fn the_manifest_shows_what_is_declared() {
    let manifest = Registry::of::<Lab>().unwrap().merge(Registry::of::<Plain>().unwrap()).unwrap().manifest();
    let written = serde_json::to_string(&manifest).unwrap();
    assert_eq!(serde_json::from_str::<connector_core::manifest::Manifest>(&written).unwrap(), manifest);
    assert_eq!(manifest.connectors.keys().collect::<Vec<_>>(), ["lab", "plain"]);
    let lab = &manifest.connectors["lab"];
    assert_eq!(lab.declaration["scopes"]["required"][0], "repo");
    assert_eq!(lab.declaration["provider"], "github");
    assert_eq!(lab.declaration["urls"][0], "https://api.github.com/*");
    let ticket = &lab.declaration["link_types"][0];
    assert_eq!((ticket["id"].as_str(), ticket["statuses"][1]["id"].as_str()), (Some("ticket"), Some("closed")));
    assert!(lab.hooks.contains(&"on_note_created".to_owned()), "{:?}", lab.hooks);
    assert_eq!(lab.options_schema["properties"]["size"]["minimum"], 1);
    assert_eq!(lab.callbacks["keep"].arguments["properties"]["text"]["type"], "string");
    assert!(lab.callbacks["items"].work.is_object(), "{}", lab.callbacks["items"].work);
    assert_eq!(lab.callbacks["add"].description, "Adds.");
    let plain = &manifest.connectors["plain"];
    assert!(!plain.hooks.contains(&"on_note_created".to_owned()), "{:?}", plain.hooks);
    // What a secret is, and not what it is worth.
    assert!(written.contains("api_key") && plain.declaration["key_option"] == "api_key");
}

/// R1.14: a connector that there is not is an error that names those that there are.
#[tokio::test]
async fn an_unknown_connector_is_refused_by_name() {
    let both = Registry::of::<Lab>().unwrap().merge(Registry::of::<Plain>().unwrap()).unwrap();
    let host = TestHost::with_network(both, quiet());
    let error = host.runtime().connect(ConnectRequest::new("labb", "ada")).await.unwrap_err();
    assert!(
        matches!(&error, ActionError::NotFound(text) if text == "there is no connector `labb`: there are lab, plain"),
        "{error}"
    );
    let host = TestHost::with_network(Registry::default(), quiet());
    let error = host.runtime().connect(ConnectRequest::new("lab", "ada")).await.unwrap_err();
    assert!(error.to_string().contains("none is linked"), "{error}");
}
