use connector_core::engine::{ConnectionRow, ConnectionStatus, Counts, SyncState, Write, WriteSet};
use connector_core::prelude::*;
use connector_core::registry::Registry;
use connector_core::runtime::{ActionError, ChannelUpdate, ConnectRequest, ConnectionUpdate, ProductState};
use connector_core::testing::{FakeService, TestHost};
use serde_json::json;

use crate::fixture::{
    Act, Bench, Changed, Keep, Lab, Plain, PlainOptions, act, handler, lab_for, log, logged, note, on, quiet, ticket,
};

fn host() -> TestHost {
    let both = Registry::of::<Lab>().unwrap().merge(Registry::of::<Plain>().unwrap()).unwrap();
    TestHost::with_network(both, quiet())
}

fn plain_for(user: &str) -> ConnectRequest {
    let mut request = ConnectRequest::new("plain", user);
    request.options = json!({"api_key": "secret"}).as_object().cloned().unwrap();
    request
}

async fn refused(host: &TestHost, request: ConnectRequest) -> String {
    let before = host.runtime().ports().engine.counts().await.unwrap();
    let error = host.runtime().connect(request).await.unwrap_err();
    assert_eq!(host.runtime().ports().engine.counts().await.unwrap(), before, "nothing is stored: {error}");
    error.to_string()
}

/// R3.1, R2.2
#[tokio::test]
async fn connecting_refuses_what_is_wrong_and_stores_nothing() {
    let host = host();
    assert!(refused(&host, ConnectRequest::new("labb", "ada")).await.contains("lab, plain"));
    assert!(refused(&host, lab_for(" ")).await.contains("user"));
    let mut request = plain_for("ada");
    request.token = Some(Secret::new("t"));
    assert!(refused(&host, request).await.contains("takes no token"));
    let mut request = plain_for("ada");
    request.options = json!({"days": 0, "no": 1}).as_object().cloned().unwrap();
    match host.runtime().connect(request).await.unwrap_err() {
        ActionError::Options(errors) => assert_eq!(errors.0.keys().collect::<Vec<_>>(), ["api_key", "days", "no"]),
        other => panic!("{other}"),
    }
    host.runtime().connect(lab_for("ada")).await.unwrap();
    assert!(refused(&host, lab_for("ada")).await.contains("already"));
    host.runtime().connect(lab_for("bob")).await.unwrap();
    host.runtime().connect(plain_for("ada")).await.unwrap();
}

/// R3.1: a credential that the service does not take.
#[tokio::test]
async fn a_bad_token_is_refused_with_what_the_service_said() {
    let service = FakeService::new(|_| FakeService::answer(401, r#"{"message": "Bad credentials"}"#));
    let host = TestHost::with_network(Registry::of::<Lab>().unwrap(), service);
    on(|handlers| {
        handlers.identity = Some(handler(|cx: Context<Lab>, ()| async move {
            cx.provider().get("/user").send().await?;
            Ok(None)
        }));
    });
    let error = refused(&host, lab_for("ada")).await;
    assert!(error.contains("credential was not accepted") && error.contains("Bad credentials"), "{error}");
    host.settle().await;
    assert_eq!(logged(), [""; 0], "activate did not run");
}

/// R3.1, R3.3: whatever fails of the first look, nothing is stored; not even by a panic, or without end.
#[tokio::test]
async fn a_first_look_that_fails_stores_nothing() {
    let host = host();
    for (place, text) in [("name", "no name"), ("channels", "no channels"), ("activate", "no activate")] {
        on(|handlers| {
            *handlers = Default::default();
            match place {
                "name" => handlers.name = Some(handler(|_, ()| async { Err(Error::transient("no name")) })),
                "channels" => handlers.channels = Some(handler(|_, ()| async { panic!("no channels") })),
                _ => handlers.activate = Some(handler(|_, ()| async { Err(Error::bug("no activate")) })),
            }
        });
        assert!(refused(&host, lab_for("ada")).await.contains(text));
    }
    on(|handlers| {
        *handlers = Default::default();
        handlers.channels = Some(handler(|_, ()| std::future::pending()));
    });
    assert!(host.run(refused(&host, lab_for("ada"))).await.contains("took more than"));
    host.settle().await;
}

/// R3.3: a parent's child counts too.
#[tokio::test]
async fn a_channel_that_is_listed_twice_is_named() {
    let host = host();
    on(|handlers| {
        handlers.channels = Some(handler(|_, ()| async {
            let outer = Channel::new("outer", "Outer").children([Channel::new("same", "Same")]);
            Ok(vec![outer, Channel::new("same", "Same")])
        }));
    });
    let refused = refused(&host, lab_for("ada")).await;
    assert!(refused.contains("gave the channel `same` twice"), "{refused}");
}

/// R3.1, R3.2, R3.3
#[tokio::test]
async fn a_connection_knows_its_owner_its_account_and_its_channels() {
    let host = host();
    on(|handlers| {
        handlers.name = Some(handler(|_, ()| async { Ok(Some("ada@lab".into())) }));
        handlers.channels = Some(handler(|_, ()| async {
            let inner = Channel::new("inner", "Inner").enabled_by_default(true);
            Ok(vec![
                Channel::new("outer", "Outer").children([inner]),
                Channel::new("off", "Off").enabled_by_default(false),
            ])
        }));
    });
    logged();
    let id = host.runtime().connect(lab_for("ada")).await.unwrap().id;
    assert_eq!(logged(), ["activate ada gh-ada"], "the owner is known before any hook runs");
    let row = host.runtime().connection(id).await.unwrap();
    assert_eq!((row.name.as_str(), row.status), ("ada@lab", ConnectionStatus::Active));
    assert_eq!(row.account.id.as_deref(), Some("gh-ada"));
    assert!(row.account.granted("repo"));
    let channels = host.runtime().channels(id).await.unwrap();
    let seen: Vec<_> = channels
        .iter()
        .map(|row| (row.channel.id.as_str(), row.parent.as_ref().map(ChannelId::as_str), row.enabled))
        .collect();
    assert_eq!(seen, [("inner", Some("outer"), true), ("off", None, false), ("outer", None, false)]);
    host.settle().await;
    let inner = host.runtime().ports().engine.channel(id, "inner".into()).await.unwrap().unwrap();
    assert_eq!(inner.sync.state, SyncState::Synced);
}

/// R3.3: within a deadline.
#[tokio::test]
async fn listing_channels_has_a_deadline() {
    let bench = Bench::new().await;
    on(|handlers| handlers.channels = Some(handler(|_, ()| std::future::pending())));
    let before = bench.host.clock().now();
    let error = bench.host.run(bench.runtime().channels(bench.connection)).await.unwrap_err();
    assert!(error.to_string().contains("20 s"), "{error}");
    assert_eq!(bench.host.clock().now().duration_since(before), SignedDuration::from_secs(20));
}

/// R3.4, R8.2: channels come and go; those that are enabled stay until their user disables them.
#[tokio::test]
async fn channels_come_and_go() {
    let bench = Bench::enabled().await;
    on(|handlers| {
        handlers.channels = Some(handler(|_, ()| async {
            Ok(vec![Channel::new("three", "Three"), Channel::new("four", "Four").enabled_by_default(true)])
        }));
    });
    // Found by the host itself, after some hours.
    bench.advance("7h").await;
    let names = async || -> Vec<String> {
        let rows = bench.runtime().ports().engine.channels(bench.connection).await.unwrap();
        rows.into_iter().map(|row| format!("{} {}", row.channel.id, row.enabled)).collect()
    };
    assert_eq!(names().await, ["four true", "one true", "three false"]);
    assert_eq!(bench.channel("four").await.sync.state, SyncState::Synced);
    let update = ConnectionUpdate { auto_enable_new_channels: Some(true), ..ConnectionUpdate::default() };
    bench.runtime().update_connection(bench.connection, update).await.unwrap();
    bench
        .run(|cx| async move {
            cx.integrations().set_channels([Channel::new("none", "None")]).await?;
            let five = Channel::new("five", "Five");
            cx.integrations()
                .set_channels([
                    Channel::new("three", "Drei"),
                    five,
                    Channel::new("six", "Six").enabled_by_default(false),
                ])
                .await?;
            let meta = crate::fixture::TicketMeta { number: 5 };
            let of_five = crate::fixture::Ticket::Open.with(meta);
            let source = crate::fixture::source(5);
            let link = NewLink::new(of_five, source, ChannelId::from("five"), Author::Owner, cx.now());
            assert_eq!(cx.integrations().save_links([link]).await?.saved, 1, "in a channel that comes with it");
            Ok(())
        })
        .await;
    assert_eq!(names().await, ["five true", "four true", "one true", "six false", "three false"]);
    assert_eq!(bench.channel("three").await.channel.name, "Drei");
}

/// R3.4: declared on the connector.
#[tokio::test]
async fn newly_discovered_channels_are_enabled_where_that_is_declared() {
    let host = host();
    let id = host.runtime().connect(plain_for("ada")).await.unwrap().id;
    host.settle().await;
    // Not those of the first listing: the user chooses among them.
    assert!(!host.runtime().channels(id).await.unwrap()[0].enabled);
}

/// R3.4, R3.7, R8.7
#[tokio::test]
async fn enabling_says_how() {
    let host = host();
    let mut request = plain_for("ada");
    request.history_days = Some(30);
    let id = host.runtime().connect(request).await.unwrap().id;
    on(|handlers| {
        handlers.enabled = Some(handler(|cx: Context<Plain>, (_, sync): (Channel, SyncContext)| async move {
            let days = sync.earliest.map(|earliest| cx.now().duration_since(earliest).as_hours() / 24);
            log(format!("{days:?} {} {} {:?}", sync.recovering, sync.observe_only, cx.mode()));
            Ok(())
        }));
    });
    logged();
    let update = ChannelUpdate { observe_only: true };
    host.runtime().enable_channel(id, &"memos".into(), update).await.unwrap();
    host.settle().await;
    assert_eq!(logged(), ["enabled memos recovering=false", "Some(30) false true Backfill"]);
}

/// R2.3, R2.4
#[tokio::test]
async fn changed_options_reach_the_connector_whole() {
    let host = host();
    let id = host.runtime().connect(plain_for("ada")).await.unwrap().id;
    on(|handlers| {
        handlers.options_changed =
            Some(handler(|cx: Context<Plain>, (old, new): (PlainOptions, PlainOptions)| async move {
                log(format!(
                    "{} {} -> {} {}, {}",
                    old.api_key.expose(),
                    old.days,
                    new.api_key.expose(),
                    new.days,
                    cx.options().days
                ));
                Ok(())
            }));
    });
    host.settle().await;
    logged();
    let change = async |options: serde_json::Value| {
        let update = ConnectionUpdate { options: options.as_object().cloned(), ..ConnectionUpdate::default() };
        host.runtime().update_connection(id, update).await
    };
    change(json!({"days": 7})).await.unwrap();
    host.settle().await;
    change(json!({"api_key": "other"})).await.unwrap();
    host.settle().await;
    assert_eq!(logged(), ["secret 90 -> secret 7, 7", "secret 7 -> other 7, 7"]);
    for same in [json!({}), json!({"days": 7}), json!({"api_key": "other"}), json!({"api_key": "other", "days": 7})] {
        let sealed = host.runtime().connection(id).await.unwrap().options.clone();
        change(same.clone()).await.unwrap();
        host.settle().await;
        assert_eq!(logged(), Vec::<String>::new(), "nothing changed with {same}");
        assert_eq!(host.runtime().connection(id).await.unwrap().options, sealed);
    }
    assert!(change(json!({"days": 0})).await.is_err());
    let row = host.runtime().connection(id).await.unwrap();
    assert_eq!(row.options["days"], 7);
    assert!(!serde_json::to_string(&*row).unwrap().contains("other"), "sealed");
    let tasks = host.runtime().tasks(connector_core::engine::TaskQuery::all(99)).await.unwrap();
    assert!(!serde_json::to_string(&tasks).unwrap().contains("other"));
}

/// R3.1, L8: afterwards there is nothing left.
#[tokio::test]
async fn disconnecting_leaves_nothing() {
    let bench = Bench::enabled().await;
    bench.save([ticket(1).notes([note(1, "a", "b")])]).await;
    act("dies", |_| async { Err(Error::rejected("no")) });
    let token = bench
        .run(|cx| async move {
            cx.set("a", &1).await?;
            cx.mark_dirty(Changed { channel: "one".into() }, ["x".into()]).await?;
            cx.acquire_lock("door", SignedDuration::from_hours(1)).await?;
            cx.run_task(Act { name: "dies".into() }).await?;
            cx.run_task_at(Act { name: "late".into() }, cx.now().checked_add(SignedDuration::from_hours(1)).unwrap())
                .await?;
            cx.callback(Keep { text: "x".repeat(1000) }).await
        })
        .await;
    assert_eq!(bench.dead().await.len(), 1);
    let thread = bench.links().await[0].link.thread;
    bench.writes(thread, "waits").await;
    on(|handlers| {
        handlers.deactivate = Some(handler(|cx: Context<Lab>, ()| async move {
            log(format!("bye {:?}", cx.get::<u32>("a").await?));
            cx.provider().delete("/hook").send().await?;
            cx.set("b", &1).await?;
            Err(Error::transient("the service is away"))
        }));
    });
    logged();
    bench.runtime().disconnect(bench.connection).await.unwrap();
    assert_eq!(logged(), ["bye Some(1)"]);
    assert_eq!(bench.service.requests().len(), 1);
    bench.advance("3h").await;
    let engine = &bench.runtime().ports().engine;
    assert_eq!(engine.counts().await.unwrap(), Counts::default());
    assert!(engine.state_entries(bench.connection, String::new(), 99).await.unwrap().is_empty());
    assert!(engine.channels(bench.connection).await.unwrap().is_empty());
    assert!(bench.runtime().connection(bench.connection).await.is_err());
    assert!(bench.runtime().disconnect(bench.connection).await.is_err());
    assert!(bench.runtime().sync_now(bench.connection).await.is_err());
    // One that is made anew does not take the tokens of the old one.
    let again = bench.runtime().connect(lab_for("ada")).await.unwrap().id;
    assert_ne!(again, bench.connection);
    let outcome = bench
        .queue_on(again, move |cx| {
            let token = token.clone();
            async move { Ok(cx.run(&token, 1).await.unwrap_err().kind().clone()) }
        })
        .await;
    bench.host.settle().await;
    assert_eq!(outcome.lock().unwrap().pop().unwrap().unwrap(), ErrorKind::Gone);
}

/// R3.1, R6.5: what runs while its connection goes away stores nothing.
#[tokio::test]
async fn a_task_that_runs_while_its_connection_ends_stores_nothing() {
    let bench = Bench::new().await;
    let (runtime, connection) = (bench.runtime().clone(), bench.connection);
    act("last", move |cx| {
        let runtime = runtime.clone();
        async move {
            cx.set("a", &1).await?;
            runtime.disconnect(connection).await?;
            log(format!("{:?}", cx.checkpoint().await.is_err()));
            cx.set("b", &1).await
        }
    });
    let queued = bench.queue(|cx| async move { cx.run_task(Act { name: "last".into() }).await.map(drop) }).await;
    bench.host.settle().await;
    drop(queued);
    bench.advance("1h").await;
    assert_eq!(logged(), ["true"]);
    let engine = &bench.runtime().ports().engine;
    assert_eq!(engine.counts().await.unwrap(), Counts::default());
    assert!(engine.state_entries(bench.connection, String::new(), 99).await.unwrap().is_empty());
}

/// R3.7: a new credential is tried before it takes the place of the old one.
#[tokio::test]
async fn a_bad_new_credential_changes_nothing() {
    let bench = Bench::enabled().await;
    bench.run(|cx| async move { cx.integrations().mark_needs_reauth("ended").await }).await;
    on(|handlers| handlers.identity = Some(handler(|_, ()| async { Err(Error::needs_reauth("wrong account")) })));
    let error = bench.runtime().reauthorize(bench.connection, Secret::new("bad")).await.unwrap_err();
    assert!(error.to_string().contains("wrong account"));
    let row = bench.runtime().connection(bench.connection).await.unwrap();
    assert_eq!((row.status, row.status_reason.as_deref()), (ConnectionStatus::NeedsReauth, Some("ended")));
}

/// A combined connector.
#[connector(
    id = "suite",
    provider = GitHub,
    scopes(
        required("base"),
        optional(id = "mail", label = "Mail", scopes("mail.read", "mail.send"), default = true),
        optional(id = "calendar", label = "Calendar", scopes = ["calendar"], default = true),
        optional(id = "tasks", label = "Tasks", scopes = ["tasks"], default = true),
    ),
    products(
        mail(label = "Mail", scope_group = "mail"),
        calendar(label = "Calendar", scope_group = "calendar"),
        tasks(label = "Tasks", scope_group = "tasks"),
    ),
)]
#[derive(Default)]
struct Suite;

#[connector]
impl Connector for Suite {
    async fn get_channels(&self, _: &Context<Self>, _: &Account) -> Result<Vec<Channel>> {
        let inbox = Channel::new("mail:inbox", "Inbox").enabled_by_default(true);
        Ok(vec![inbox, Channel::new("calendar:home", "Home"), Channel::new("tasksheet", "None of any product")])
    }
}

/// R1.10: each product is granted, without its scopes, without channels, or off.
#[tokio::test]
async fn products_have_states() {
    let host = TestHost::with_network(Registry::of::<Suite>().unwrap(), quiet());
    let mut request = ConnectRequest::new("suite", "ada");
    request.token = Some(Secret::new("token"));
    let id = host.runtime().connect(request).await.unwrap().id;
    let states = async || -> Vec<_> {
        host.runtime().products(id).await.unwrap().into_iter().map(|product| (product.key, product.state)).collect()
    };
    assert_eq!(
        states().await,
        [("mail", ProductState::Granted), ("calendar", ProductState::Off), ("tasks", ProductState::NoChannels)]
    );
    let mut row = ConnectionRow::clone(&*host.runtime().connection(id).await.unwrap());
    row.account.scopes.retain(|scope| scope != "mail.send");
    let put = Write::PutConnection { expect: Some(row.version), row: Box::new(row) };
    host.runtime().ports().engine.commit(WriteSet::of([put])).await.unwrap();
    assert_eq!(states().await[0], ("mail", ProductState::ScopeMissing));
}

/// R3.1, R5.1: what hooks write while an account is connected is there for the next one, and is stored with the connection.
#[tokio::test]
async fn what_hooks_write_while_an_account_is_connected_is_stored() {
    let host = TestHost::with_network(Registry::of::<Lab>().unwrap(), quiet());
    on(|handlers| {
        handlers.name = Some(handler(|cx: Context<Lab>, ()| async move {
            cx.set("who", "ada").await?;
            Ok(None)
        }));
        handlers.channels = Some(handler(|cx: Context<Lab>, ()| async move {
            let times: u32 = cx.get("times").await?.unwrap_or(0);
            cx.set("times", &(times + 1)).await?;
            log(format!("lists for {:?} {times}", cx.get::<String>("who").await?));
            Ok(vec![Channel::new("one", "One")])
        }));
        handlers.activate = Some(handler(|cx: Context<Lab>, ()| async move {
            log(format!("activates {:?}", cx.get::<u32>("times").await?));
            Ok(())
        }));
    });
    logged();
    let id = host.runtime().connect(lab_for("ada")).await.unwrap().id;
    assert_eq!(logged(), ["lists for Some(\"ada\") 0", "activate ada gh-ada", "activates Some(1)"]);
    host.runtime().reauthorize(id, Secret::new("another")).await.unwrap();
    host.runtime().channels(id).await.unwrap();
    assert_eq!(logged(), ["lists for Some(\"ada\") 1", "lists for Some(\"ada\") 2"]);
}

/// Declared with `single_channel`, and gives more.
#[connector(id = "only-one", single_channel)]
#[derive(Default)]
struct OnlyOne;

thread_local! {
    static CHILDREN: std::cell::Cell<bool> = const { std::cell::Cell::new(true) };
}

#[connector]
impl Connector for OnlyOne {
    async fn get_channels(&self, _: &Context<Self>, _: &Account) -> Result<Vec<Channel>> {
        let children = CHILDREN.get().then(|| Channel::new("below", "Below"));
        Ok(vec![Channel::new("one", "One").children(children)])
    }
}

#[connector]
impl OnlyOne {
    #[callback]
    async fn adds(&self, cx: &Context<Self>) -> Result<()> {
        let two = [Channel::new("one", "One"), Channel::new("two", "Two")];
        log(cx.integrations().set_channels(two).await.unwrap_err().message());
        Ok(())
    }
}

/// R1.6: one channel is one, however another one is given.
#[tokio::test]
async fn a_single_channel_is_all_there_is() {
    let host = TestHost::new(Registry::of::<OnlyOne>().unwrap());
    let error = host.runtime().connect(ConnectRequest::new("only-one", "ada")).await.unwrap_err();
    assert!(error.to_string().contains("`get_channels` gave 2 channels in place of one"), "{error}");
    CHILDREN.set(false);
    let id = host.runtime().connect(ConnectRequest::new("only-one", "ada")).await.unwrap().id;
    host.runtime().queue(id, Adds).await.unwrap();
    logged();
    host.settle().await;
    let said = logged();
    assert!(said.len() == 1 && said[0].contains("`set_channels` gave 2 channels in place of one"), "{said:?}");
}
