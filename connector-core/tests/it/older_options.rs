//! Options that an earlier build of a connector has checked and stored (R11.11, L41).

use connector_core::engine::ConnectionStatus;
use connector_core::options::Choices as _;
use connector_core::prelude::*;
use connector_core::registry::Registry;
use connector_core::runtime::{ConnectRequest, ConnectionUpdate};
use connector_core::testing::TestHost;
use serde_json::{Map, Value, json};

use crate::fixture::{log, logged};

/// One build of the connector `shaped`, with these options.
macro_rules! build {
    ($build:ident, $options:item, |$read:ident| $seen:expr $(, $more:item)*) => {
        mod $build {
            use super::*;

            #[connector(id = "shaped", version = "1", options = Shape)]
            #[derive(Default)]
            pub(super) struct Shaped;

            #[derive(Options)]
            $options

            $($more)*

            fn seen($read: &Shape) -> String {
                $seen
            }

            #[connector]
            impl Connector for Shaped {
                async fn get_channels(&self, cx: &Context<Self>, _: &Account) -> Result<Vec<Channel>> {
                    log(format!("lists with {}", seen(cx.options())));
                    Ok(vec![Channel::new("one", "One")])
                }

                async fn on_options_changed(&self, _: &Context<Self>, old: &Shape, new: &Shape) -> Result<()> {
                    log(format!("{} became {}", seen(old), seen(new)));
                    Ok(())
                }
            }

            #[connector]
            impl Shaped {
                #[every("1h")]
                async fn ticks(&self, cx: &Context<Self>) -> Result<()> {
                    log(seen(cx.options()));
                    Ok(())
                }
            }
        }
    };
}

build!(
    first,
    pub(super) struct Shape {
        note: Option<String>,
        code: Option<Secret>,
        #[option(default = Pace::Fast)]
        pace: Pace,
        #[option(default = 900, max = 1000)]
        most: u32,
        days: String,
    },
    |shape| format!(
        "{:?} {:?} {} {} {}",
        shape.note,
        shape.code.as_ref().map(|code| code.expose().to_owned()),
        shape.pace.id(),
        shape.most,
        shape.days
    ),
    #[derive(Choices)]
    pub(super) enum Pace {
        Fast,
        Slow,
    }
);

// Secret becomes open and the other way round, a choice is gone, a limit is lower, a text became a number.
build!(
    second,
    pub(super) struct Shape {
        note: Option<Secret>,
        code: Option<String>,
        #[option(default = Pace::Fast)]
        pace: Pace,
        #[option(default = 50, max = 100)]
        most: u32,
        days: u8,
    },
    |shape| format!(
        "{:?} {:?} {} {} {}",
        shape.note.as_ref().map(|note| note.expose().to_owned()),
        shape.code,
        shape.pace.id(),
        shape.most,
        shape.days
    ),
    #[derive(Choices)]
    pub(super) enum Pace {
        Fast,
        Steady,
    }
);

fn options(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

async fn connected(given: Value) -> (TestHost, connector_core::id::ConnectionId) {
    let host = TestHost::new(Registry::of::<first::Shaped>().unwrap());
    let mut request = ConnectRequest::new("shaped", "ada");
    request.options = options(given);
    let id = host.runtime().connect(request).await.unwrap().id;
    host.runtime().upgrade_connections().await.unwrap();
    host.settle().await;
    (host, id)
}

/// What still fits stays, also where an option became secret or open; what does not gives way to the default.
#[tokio::test]
async fn an_option_that_fits_no_longer_takes_its_default() {
    let given = json!({"note": "by hand", "code": "s3cret", "pace": "slow", "most": 800, "days": "7"});
    let (host, id) = connected(given).await;
    assert!(logged().contains(&"Some(\"by hand\") Some(\"s3cret\") slow 800 7".to_owned()));

    let host = host.upgrade(Registry::of::<second::Shaped>().unwrap()).await;
    host.runtime().upgrade_connections().await.unwrap();
    host.advance(SignedDuration::from_hours(2)).await;
    let now = "Some(\"by hand\") Some(\"s3cret\") fast 50 7";
    assert!(logged().contains(&now.to_owned()), "the connection goes on");
    let row = host.runtime().connection(id).await.unwrap();
    assert_eq!(host.runtime().standing(&row).status, ConnectionStatus::Active);
    host.runtime().channels(id).await.unwrap();
    assert_eq!(logged(), [format!("lists with {now}")]);

    // A change that says nothing of the others is taken.
    let update = ConnectionUpdate { options: Some(options(json!({"most": 60}))), ..Default::default() };
    let row = host.runtime().update_connection(id, update).await.unwrap();
    host.settle().await;
    assert_eq!(logged(), [format!("{now} became {}", now.replace("50", "60"))]);
    let stored = Value::Object(row.options.clone()).to_string();
    assert!(!stored.contains("by hand"), "what is secret now is sealed by the first change: {stored}");
    assert!(stored.contains("s3cret"), "{stored}");
}

/// One without a default names what is missing, waits, and goes on when it is given.
#[tokio::test]
async fn a_connection_whose_option_is_missing_needs_attention() {
    let (host, id) = connected(json!({"days": "a week"})).await;
    logged();
    let host = host.upgrade(Registry::of::<second::Shaped>().unwrap()).await;
    let feed = host.runtime().ports().engine.feed_end().await.unwrap();
    host.runtime().upgrade_connections().await.unwrap();
    let told = host.runtime().ports().engine.feed(feed, 10).await.unwrap();
    assert!(told.iter().any(|entry| entry.id == id.to_string()), "{told:?}");

    host.advance(SignedDuration::from_hours(5)).await;
    assert_eq!(logged(), [""; 0], "nothing runs with options that the connector cannot read");
    let row = host.runtime().connection(id).await.unwrap();
    let standing = host.runtime().standing(&row);
    assert_eq!(standing.status, ConnectionStatus::NeedsAttention);
    assert_eq!(standing.missing.0.get("days").map(String::as_str), Some("must be a number"));
    assert!(standing.reason.as_deref().unwrap_or_default().contains("days: must be a number"), "{standing:?}");
    assert_eq!(host.runtime().channels(id).await.unwrap().len(), 1, "what is known is shown");
    assert!(host.runtime().dead_tasks(connector_core::engine::TaskQuery::all(9)).await.unwrap().is_empty());

    let refused = ConnectionUpdate { options: Some(options(json!({"most": 60}))), ..Default::default() };
    let error = host.runtime().update_connection(id, refused).await.unwrap_err();
    assert!(error.to_string().contains("days: must be given"), "{error}");

    let update = ConnectionUpdate { options: Some(options(json!({"days": 9}))), ..Default::default() };
    let row = host.runtime().update_connection(id, update).await.unwrap();
    assert_eq!(host.runtime().standing(&row).status, ConnectionStatus::Active);
    host.settle().await;
    let lines = logged();
    assert!(lines.contains(&"None None fast 50 9 became None None fast 50 9".to_owned()), "{lines:?}");
    assert!(lines.contains(&"None None fast 50 9".to_owned()), "what waited runs: {lines:?}");
}

/// One that nobody repairs can be disconnected.
#[tokio::test]
async fn a_connection_that_needs_attention_can_be_disconnected() {
    let (host, id) = connected(json!({"days": "a week"})).await;
    let host = host.upgrade(Registry::of::<second::Shaped>().unwrap()).await;
    host.runtime().upgrade_connections().await.unwrap();
    host.runtime().disconnect(id).await.unwrap();
    assert!(host.runtime().connection(id).await.is_err());
}
