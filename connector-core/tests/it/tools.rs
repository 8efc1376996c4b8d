//! A connector with tools, of which one uses another (R1.15).

use std::cell::RefCell;

use connector_core::engine::SyncState;
use connector_core::id::ConnectionId;
use connector_core::prelude::*;
use connector_core::registry::Registry;
use connector_core::runtime::{ChannelUpdate, ConnectRequest, ConnectionUpdate, SubscriptionState};
use connector_core::testing::{FakeService, TestHost};
use serde_json::json;

use crate::fixture::{log, logged, quiet};

#[connector(id = "tooled", provider = GitHub, scopes = ["own"], urls = ["https://own.test/*"], options = Settings, tools = [Outer, Beside, Inner])]
#[derive(Default)]
struct Tooled;

#[derive(Options, Clone, Debug)]
struct Settings {
    /// What it does when it changes.
    #[option(default = "")]
    what: String,
}

#[connector]
impl Connector for Tooled {
    async fn activate(&self, cx: &Context<Self>, _: &Authorization, _: &Actor) -> Result<()> {
        log("activate");
        cx.set("who", &"connector").await?;
        cx.run_task(Page { number: 1 }).await.map(drop)
    }

    async fn deactivate(&self, _: &Context<Self>) -> Result<()> {
        log("deactivate");
        Ok(())
    }

    async fn on_options_changed(&self, cx: &Context<Self>, _: &Settings, new: &Settings) -> Result<()> {
        match new.what.as_str() {
            "call out" => {
                for url in ["https://own.test/a", "https://outer.test/b", "https://inner.test/c"] {
                    cx.network().get(url).send().await?;
                }
                let error = cx.network().get("https://other.test/d").send().await.unwrap_err();
                log(format!("refused {}", error.message().contains("other.test")));
                cx.tool::<Inner>()?.network().get("https://inner.test/e").send().await?;
            }
            "use" => {
                let inner = cx.tool::<Inner>()?;
                inner.set("given", &7).await?;
                log(format!("{:?} {:?}", inner.get::<String>("who").await?, cx.get::<u32>("given").await?));
                cx.tool::<Outer>()?.clear_all().await?;
                log(format!("{:?} {:?}", cx.list("").await?, inner.list("").await?));
            }
            _ => {}
        }
        Ok(())
    }
}

#[connector]
impl Tooled {
    #[callback]
    async fn page(&self, cx: &Context<Self>, number: u32) -> Result<()> {
        log(format!("connector page {number} of {:?}", cx.get::<String>("who").await?));
        Ok(())
    }
}

/// The next version, which has another tool as well.
#[connector(id = "tooled", version = "2", tools = [Outer, Beside])]
#[derive(Default)]
struct Newer;

#[connector]
impl Connector for Newer {
    async fn upgrade(&self, _: &Context<Self>, from: &str) -> Result<()> {
        log(format!("upgrade from {from}"));
        Ok(())
    }
}

/// The same without tools.
#[connector(id = "tooled", provider = GitHub, scopes = ["own"])]
#[derive(Default)]
struct Lonely;

#[connector]
impl Connector for Lonely {}

/// Hooks that say that they run.
macro_rules! hooks {
    ($tool:ident, $name:literal) => {
        impl Tool for $tool {
            async fn pre_activate(&self, cx: &Context<Self>) -> Result<()> {
                log(concat!("pre ", $name));
                cx.set("who", &$name).await
            }

            async fn post_activate(&self, cx: &Context<Self>) -> Result<()> {
                log(format!("post {}", cx.get::<String>("who").await?.unwrap_or_default()));
                self.begin(cx).await
            }

            async fn pre_upgrade(&self, _: &Context<Self>) -> Result<()> {
                log(concat!("pre ", $name));
                Ok(())
            }

            async fn post_upgrade(&self, _: &Context<Self>) -> Result<()> {
                log(concat!("post ", $name));
                Ok(())
            }

            async fn pre_deactivate(&self, _: &Context<Self>) -> Result<()> {
                log(concat!("pre ", $name));
                Ok(())
            }

            async fn post_deactivate(&self, _: &Context<Self>) -> Result<()> {
                log(concat!("post ", $name));
                Ok(())
            }
        }
    };
}

#[tool(id = "outer", urls = ["https://outer.test/*"], tools = [Inner])]
#[derive(Default)]
struct Outer;

hooks!(Outer, "outer");

impl Outer {
    async fn begin(&self, _: &Context<Self>) -> Result<()> {
        Ok(())
    }
}

#[tool(id = "beside")]
#[derive(Default)]
struct Beside;

hooks!(Beside, "beside");

impl Beside {
    async fn begin(&self, _: &Context<Self>) -> Result<()> {
        Ok(())
    }
}

#[tool(id = "inner", urls = ["https://inner.test/*"], scopes = ["people", "own"])]
#[derive(Default)]
struct Inner;

hooks!(Inner, "inner");

impl Inner {
    async fn begin(&self, cx: &Context<Self>) -> Result<()> {
        let own = inner_callbacks::queue(cx).await?;
        log(format!("queued {}", own.is_some()));
        Ok(())
    }
}

/// Apart, as its callback has the name of one of the connector's.
mod inner_callbacks {
    use connector_core::context::TaskToken;

    use super::*;

    pub(super) async fn queue(cx: &Context<Inner>) -> Result<Option<TaskToken>> {
        cx.run_task(Page { number: 9 }).await.map(Some)
    }

    #[tool]
    impl Inner {
        #[callback]
        async fn page(&self, cx: &Context<Self>, number: u32) -> Result<()> {
            log(format!("inner page {number} of {:?}", cx.get::<String>("who").await?));
            Ok(())
        }
    }
}

/// A tool with work of its own, for the connection and for each channel.
#[tool(id = "timed")]
#[derive(Default)]
struct Timed;

impl Tool for Timed {}

#[tool]
impl Timed {
    #[sync(every = "15m")]
    async fn people(&self, cx: &Context<Self>, cursor: Option<u64>) -> Result<Step<u64>> {
        log(format!("people {cursor:?} {:?}", cx.mode()));
        cx.set("seen", &true).await?;
        Ok(Step::Done(1))
    }

    #[sync(every = "15m")]
    async fn labels(&self, cx: &Context<Self>, channel: ChannelId, cursor: Option<u64>) -> Result<Step<u64>> {
        log(format!("labels of {channel} {cursor:?} {:?}", cx.mode()));
        cx.mark_dirty(Label, [channel.to_string()]).await?;
        Ok(Step::Done(1))
    }

    #[drain]
    async fn label(&self, _: &Context<Self>, ids: Vec<String>) -> Result<Drained<String>> {
        log(format!("label {ids:?}"));
        Ok(Drained::all())
    }

    #[every("1h")]
    async fn tidy(&self, cx: &Context<Self>) -> Result<()> {
        log("tidy");
        cx.sync_now(People).await
    }

    #[webhook(verify = none("a toy"))]
    async fn told(&self, _: &Context<Self>, #[input] request: Verified<WebhookRequest>) -> Result<()> {
        log(format!("told {}", String::from_utf8_lossy(&request.body)));
        Ok(())
    }
}

impl Subscription for Told {
    async fn create(&self, _: &Context<Timed>, endpoint: &Endpoint) -> Result<Registration> {
        ENDPOINT.set(endpoint.url.clone());
        Ok(Registration::new("1"))
    }

    async fn delete(&self, _: &Context<Timed>, _: &Registration) -> Result<()> {
        log("unregisters");
        Ok(())
    }
}

thread_local! {
    static ENDPOINT: RefCell<String> = const { RefCell::new(String::new()) };
}

#[connector(id = "timely", tools = [Timed])]
#[derive(Default)]
struct Timely;

#[connector]
impl Connector for Timely {
    async fn get_channels(&self, _: &Context<Self>, _: &Account) -> Result<Vec<Channel>> {
        Ok(vec![Channel::new("one", "One")])
    }
}

async fn connected(service: FakeService) -> (TestHost, ConnectionId) {
    logged();
    let host = TestHost::with_network(Registry::of::<Tooled>().unwrap(), service);
    let mut request = ConnectRequest::new("tooled", "ada");
    request.token = Some(Secret::new("token"));
    let id = host.runtime().connect(request).await.unwrap().id;
    (host, id)
}

async fn change(host: &TestHost, id: ConnectionId, what: &str) -> Vec<String> {
    host.settle().await;
    logged();
    let options = json!({"what": what}).as_object().cloned();
    let update = ConnectionUpdate { options, ..ConnectionUpdate::default() };
    host.runtime().update_connection(id, update).await.unwrap();
    host.settle().await;
    logged()
}

/// R1.15: depth-first before the connector's own, outermost-first after it.
#[tokio::test]
async fn hooks_of_tools_run_around_those_of_the_connector() {
    let (host, id) = connected(quiet()).await;
    let (before, after) = (["pre inner", "pre outer", "pre beside"], ["post beside", "post outer", "post inner"]);
    let around = |own: &str| before.into_iter().chain([own]).chain(after).map(str::to_owned).collect::<Vec<_>>();
    let lines = logged();
    assert_eq!(lines[..7], around("activate"));
    assert_eq!(lines[7..], ["queued true"]);
    host.settle().await;
    logged();
    let host = host.upgrade(Registry::of::<Newer>().unwrap()).await;
    host.runtime().upgrade_connections().await.unwrap();
    host.settle().await;
    assert_eq!(logged(), around("upgrade from 1"));
    let host = host.upgrade(Registry::of::<Tooled>().unwrap()).await;
    host.settle().await;
    logged();
    host.runtime().disconnect(id).await.unwrap();
    assert_eq!(logged(), around("deactivate"));
}

/// R1.15: a callback of a tool is another than the connector's of the same name, and each has its own state.
#[tokio::test]
async fn callbacks_and_state_of_a_tool_are_its_own() {
    let (host, id) = connected(quiet()).await;
    logged();
    host.settle().await;
    let mut lines = logged();
    lines.sort();
    assert_eq!(lines, [r#"connector page 1 of Some("connector")"#, r#"inner page 9 of Some("inner")"#]);
    let manifest = Registry::of::<Tooled>().unwrap().manifest();
    let names: Vec<_> = manifest.connectors["tooled"].callbacks.keys().collect();
    assert_eq!(names, ["inner/page", "page"]);
    assert_eq!(manifest.connectors["tooled"].declaration["tools"], json!(["inner", "outer", "beside"]));
    let lines = change(&host, id, "use").await;
    assert_eq!(lines, [r#"Some("inner") None"#, r#"["who"] ["given", "who"]"#], "what one clears is its own");
}

/// R1.15, R10.1: what a tool may reach is allowed, and nothing else.
#[tokio::test]
async fn the_urls_of_a_tool_are_allowed() {
    let service = quiet();
    let (host, id) = connected(service.clone()).await;
    assert_eq!(change(&host, id, "call out").await, ["refused true"]);
    let asked: Vec<_> = service.requests().iter().map(|request| request.url.to_string()).collect();
    assert_eq!(asked, ["https://own.test/a", "https://outer.test/b", "https://inner.test/c", "https://inner.test/e"]);
}

/// R1.15, R4.5: a connection is granted what the tools need, and a tool that needs more breaks those that exist.
#[tokio::test]
async fn the_scopes_of_a_tool_are_those_of_its_connector() {
    let (host, id) = connected(quiet()).await;
    assert_eq!(host.runtime().connection(id).await.unwrap().account.scopes, ["own", "people"]);
    let (with, without) = (Registry::of::<Tooled>().unwrap().manifest(), Registry::of::<Lonely>().unwrap().manifest());
    let breaks = with.breaks_since(&without);
    let found: Vec<_> = breaks.iter().map(|found| found.what.as_str()).collect();
    assert_eq!(found, ["scope `people`"]);
}

/// R1.15, R11.1: declared work of a tool runs as that of its connector does.
#[tokio::test]
async fn declared_work_of_a_tool_runs() {
    logged();
    let host = TestHost::new(Registry::of::<Timely>().unwrap());
    let id = host.runtime().connect(ConnectRequest::new("timely", "ada")).await.unwrap().id;
    host.runtime().enable_channel(id, &"one".into(), ChannelUpdate::default()).await.unwrap();
    host.settle().await;
    let mut lines = logged();
    lines.sort();
    let began = ["labels of one None Backfill", "people None Backfill", "people Some(1) Live", "tidy"];
    assert_eq!(lines, began, "and what the tool asks for");
    let channels = host.runtime().channels(id).await.unwrap();
    assert_eq!(channels[0].sync.state, SyncState::Synced);

    host.advance(SignedDuration::from_mins(62)).await;
    let lines = logged();
    assert_eq!(lines.iter().filter(|line| *line == "people Some(1) Live").count(), 5, "4 by the clock: {lines:?}");
    assert_eq!(lines.iter().filter(|line| *line == "labels of one Some(1) Live").count(), 4, "{lines:?}");
    assert_eq!(lines.iter().filter(|line| *line == "tidy").count(), 1, "{lines:?}");
    assert!(lines.contains(&r#"label ["one"]"#.to_owned()), "{lines:?}");

    let work = host.runtime().work(id).await.unwrap();
    let mut names: Vec<_> = work.iter().map(|view| (view.name.as_str(), view.kind)).collect();
    names.sort_unstable();
    let known = [("timed.label", "drain"), ("timed.labels", "sync"), ("timed.people", "sync"), ("timed.tidy", "every")];
    assert_eq!(names, known);
    assert!(work.iter().all(|view| view.last_end.is_some() && view.error.is_none()), "{work:?}");

    host.runtime().disable_channel(id, &"one".into()).await.unwrap();
    host.advance(SignedDuration::from_mins(20)).await;
    assert_eq!(logged(), ["people Some(1) Live"], "what is of a channel ends with it");
}

/// R1.15, R11.4: so does what a service pushes to a tool.
#[tokio::test]
async fn a_tool_takes_pushes() {
    let host = TestHost::new(Registry::of::<Timely>().unwrap())
        .configure(|config| config.public_url = Some("https://host.example".to_owned()));
    let id = host.runtime().connect(ConnectRequest::new("timely", "ada")).await.unwrap().id;
    host.settle().await;
    let subscriptions = host.runtime().subscriptions(id).await.unwrap();
    assert_eq!(subscriptions[0].state, SubscriptionState::Live);
    let url = ENDPOINT.take();
    let token = url.rsplit('/').next().unwrap();
    logged();
    let request = WebhookRequest::new("POST", "hello", host.clock().now());
    host.runtime().find_hook(token).await.unwrap().receive(request).await.unwrap();
    host.settle().await;
    assert!(logged().contains(&"told hello".to_owned()));
    host.runtime().disconnect(id).await.unwrap();
    assert_eq!(logged(), ["unregisters"]);
}
