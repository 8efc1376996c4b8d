//! A new version of a connector, for connections that are there already.

use connector_core::engine::{ConnectionRow, ConnectionStatus, SyncState, TaskQuery, Write, WriteSet};
use connector_core::prelude::*;
use connector_core::registry::Registry;
use connector_core::runtime::{ChannelUpdate, ConnectRequest, SubscriptionState};
use connector_core::testing::TestHost;

use crate::fixture::{lab_for, log, logged, quiet};

mod first {
    use super::*;

    #[connector(id = "growing", version = "1")]
    #[derive(Default)]
    pub(super) struct Growing;

    #[connector]
    impl Connector for Growing {
        async fn get_channels(&self, _: &Context<Self>, _: &Account) -> Result<Vec<Channel>> {
            Ok(vec![Channel::new("one", "One"), Channel::new("two", "Two")])
        }
    }

    #[connector]
    impl Growing {
        #[sync(every = "15m")]
        async fn stays(&self, cx: &Context<Self>, channel: ChannelId, cursor: Option<u64>) -> Result<Step<u64>> {
            log(format!("stays {channel} {cursor:?} {:?}", cx.mode()));
            Ok(Step::Done(1))
        }

        #[sync(every = "15m")]
        async fn goes(&self, cx: &Context<Self>, channel: ChannelId, _cursor: Option<u64>) -> Result<Step<u64>> {
            log(format!("goes {channel}"));
            Ok(Step::Wait(cx.now() + SignedDuration::from_hours(1), 1))
        }

        #[every("1h")]
        async fn ticks(&self, _: &Context<Self>) -> Result<()> {
            log("ticks hourly");
            Ok(())
        }
    }
}

/// The first version, built anew with other work.
mod rebuilt {
    use super::*;

    #[connector(id = "growing", version = "1")]
    #[derive(Default)]
    pub(super) struct Growing;

    #[connector]
    impl Connector for Growing {
        async fn get_channels(&self, _: &Context<Self>, _: &Account) -> Result<Vec<Channel>> {
            Ok(vec![Channel::new("one", "One"), Channel::new("two", "Two")])
        }

        async fn upgrade(&self, _: &Context<Self>, from: &str) -> Result<()> {
            log(format!("upgrade from {from}"));
            Ok(())
        }
    }

    #[connector]
    impl Growing {
        #[sync(every = "15m")]
        async fn stays(&self, cx: &Context<Self>, channel: ChannelId, cursor: Option<u64>) -> Result<Step<u64>> {
            log(format!("stays {channel} {cursor:?} {:?}", cx.mode()));
            Ok(Step::Done(2))
        }

        #[sync(every = "15m")]
        async fn comes(&self, cx: &Context<Self>, channel: ChannelId, cursor: Option<u64>) -> Result<Step<u64>> {
            log(format!("comes {channel} {cursor:?} {:?}", cx.mode()));
            Ok(Step::Done(1))
        }
    }
}

mod second {
    use super::*;

    #[connector(id = "growing", version = "2")]
    #[derive(Default)]
    pub(super) struct Growing;

    #[connector]
    impl Connector for Growing {
        async fn get_channels(&self, _: &Context<Self>, _: &Account) -> Result<Vec<Channel>> {
            Ok(vec![Channel::new("one", "One"), Channel::new("two", "Two")])
        }

        async fn upgrade(&self, _: &Context<Self>, from: &str) -> Result<()> {
            log(format!("upgrade from {from}"));
            Ok(())
        }
    }

    #[connector]
    impl Growing {
        #[sync(every = "15m")]
        async fn stays(&self, cx: &Context<Self>, channel: ChannelId, cursor: Option<u64>) -> Result<Step<u64>> {
            log(format!("stays {channel} {cursor:?} {:?}", cx.mode()));
            Ok(Step::Done(2))
        }

        #[sync(every = "15m")]
        async fn comes(&self, cx: &Context<Self>, channel: ChannelId, cursor: Option<u64>) -> Result<Step<u64>> {
            log(format!("comes {channel} {cursor:?} {:?}", cx.mode()));
            Ok(Step::Done(1))
        }

        #[sync(every = "15m")]
        async fn whole(&self, cx: &Context<Self>, cursor: Option<u64>) -> Result<Step<u64>> {
            log(format!("whole {cursor:?} {:?}", cx.mode()));
            Ok(Step::Done(1))
        }

        #[every("3h")]
        async fn ticks(&self, _: &Context<Self>) -> Result<()> {
            log("ticks");
            Ok(())
        }

        #[webhook(verify = hmac_sha256(header = "X-Signature"), delivery_id = "X-Delivery")]
        async fn pushed(
            &self,
            _: &Context<Self>,
            _channel: ChannelId,
            #[input] _request: Verified<WebhookRequest>,
        ) -> Result<()> {
            Ok(())
        }
    }

    impl Subscription for Pushed {
        async fn create(&self, _: &Context<Growing>, _: &Endpoint) -> Result<Registration> {
            log(format!("registers {}", self.channel));
            Ok(Registration::new("1"))
        }

        async fn delete(&self, _: &Context<Growing>, _: &Registration) -> Result<()> {
            Ok(())
        }
    }
}

fn sorted() -> Vec<String> {
    let mut lines = logged();
    lines.sort();
    lines
}

/// R3.1, R11.1, R11.4: work that a version adds begins for channels that are enabled already, work that it drops
/// ends, and what it has still goes on where it was.
#[tokio::test]
async fn a_new_version_begins_and_ends_declared_work() {
    let host = TestHost::new(Registry::of::<first::Growing>().unwrap())
        .configure(|config| config.public_url = Some("https://host.example".to_owned()));
    let id = host.runtime().connect(ConnectRequest::new("growing", "ada")).await.unwrap().id;
    host.runtime().enable_channel(id, &"one".into(), ChannelUpdate::default()).await.unwrap();
    host.settle().await;
    assert_eq!(sorted(), ["goes one", "stays one None Backfill", "ticks hourly"]);
    let channel =
        async |host: &TestHost| host.runtime().ports().engine.channel(id, "one".into()).await.unwrap().unwrap();
    assert_eq!(channel(&host).await.sync.state, SyncState::Syncing, "one of its walks has not ended");

    let host = host.upgrade(Registry::of::<second::Growing>().unwrap()).await;
    assert_eq!(host.runtime().upgrade_connections().await.unwrap(), 1);
    host.settle().await;
    let began = ["comes one None Backfill", "registers one", "ticks", "upgrade from 1", "whole None Backfill"];
    assert_eq!(sorted(), began);
    let row = channel(&host).await;
    assert_eq!((row.sync.state, row.walking.len()), (SyncState::Synced, 0), "nor does it wait for what is no more");
    assert_eq!(host.runtime().subscriptions(id).await.unwrap()[0].state, SubscriptionState::Live);
    host.advance(SignedDuration::from_mins(16)).await;
    assert_eq!(sorted(), ["comes one Some(1) Live", "stays one Some(1) Live", "whole Some(1) Live"]);
    host.advance(SignedDuration::from_hours(4)).await;
    let later = sorted();
    assert_eq!(later.iter().filter(|line| line.starts_with("ticks")).collect::<Vec<_>>(), ["ticks"]);
    assert!(!later.iter().any(|line| line.starts_with("goes")));
    assert!(host.runtime().dead_tasks(TaskQuery::all(9)).await.unwrap().is_empty());

    // And back again: a host that was not meant to be upgraded.
    let host = host.upgrade(Registry::of::<first::Growing>().unwrap()).await;
    host.runtime().upgrade_connections().await.unwrap();
    host.settle().await;
    assert_eq!(sorted(), ["goes one", "ticks hourly"]);
    assert_eq!(channel(&host).await.sync.state, SyncState::Syncing);
}

/// R3.7, R6.7: another credential is no reason to go on for one that used too much.
#[tokio::test]
async fn a_suspended_connection_stays_suspended_when_it_is_authorized_again() {
    let host = TestHost::with_network(Registry::of::<crate::fixture::Lab>().unwrap(), quiet());
    let id = host.runtime().connect(lab_for("ada")).await.unwrap().id;
    host.settle().await;
    let row = host.runtime().connection(id).await.unwrap();
    let suspended = ConnectionRow {
        status: ConnectionStatus::Suspended,
        status_reason: Some("too much".to_owned()),
        ..ConnectionRow::clone(&row)
    };
    let put = Write::PutConnection { row: Box::new(suspended), expect: Some(row.version) };
    host.runtime().ports().engine.commit(WriteSet::of([put])).await.unwrap();
    let host = host.crash().await;
    let authorized = host.runtime().reauthorize(id, Secret::new("another")).await.unwrap();
    assert_eq!(
        (authorized.status, authorized.status_reason.as_deref()),
        (ConnectionStatus::Suspended, Some("too much"))
    );
    logged();
    host.advance(SignedDuration::from_hours(3)).await;
    let tasks = host.runtime().tasks(TaskQuery::all(99)).await.unwrap();
    assert!(tasks.iter().any(|task| task.does == "every tick" && task.attempt == 0), "{tasks:?}");
    host.runtime().resume(id).await.unwrap();
    host.settle().await;
    let row = host.runtime().connection(id).await.unwrap();
    assert_eq!((row.status, row.status_reason.as_deref()), (ConnectionStatus::Active, None));
}

/// R11.10: what a build declares otherwise is begun and ended, also under the same version.
#[tokio::test]
async fn other_work_under_the_same_version_is_begun_and_ended() {
    let host = TestHost::new(Registry::of::<first::Growing>().unwrap());
    let id = host.runtime().connect(ConnectRequest::new("growing", "ada")).await.unwrap().id;
    host.runtime().enable_channel(id, &"one".into(), ChannelUpdate::default()).await.unwrap();
    let other = host.runtime().connect(ConnectRequest::new("growing", "bob")).await.unwrap().id;
    host.runtime().enable_channel(other, &"two".into(), ChannelUpdate::default()).await.unwrap();
    host.runtime().enable_channel(other, &"one".into(), ChannelUpdate::default()).await.unwrap();
    host.settle().await;
    logged();
    // The first build that remembers its work takes what is there for that.
    let host = host.upgrade(Registry::of::<first::Growing>().unwrap()).await;
    host.runtime().upgrade_connections().await.unwrap();
    host.settle().await;
    assert_eq!(logged(), [""; 0]);
    let host = host.upgrade(Registry::of::<rebuilt::Growing>().unwrap()).await;
    host.runtime().upgrade_connections().await.unwrap();
    host.settle().await;
    let began = ["comes one None Backfill", "comes one None Backfill", "comes two None Backfill"];
    assert_eq!(sorted(), began, "in each connection");
    host.advance(SignedDuration::from_hours(2)).await;
    assert!(!logged().iter().any(|line| line.starts_with("goes") || line.starts_with("ticks")));
    let engine = &host.runtime().ports().engine;
    assert_eq!(engine.dead_tasks(TaskQuery::all(10)).await.unwrap(), []);
    let channel = engine.channel(id, "one".into()).await.unwrap().unwrap();
    assert_eq!(channel.sync.state, SyncState::Synced);
}
