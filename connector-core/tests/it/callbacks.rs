use connector_core::prelude::*;
use connector_core::registry::Registry;
use connector_core::runtime::ConnectRequest;
use connector_core::testing::TestHost;
use serde_json::json;

use crate::fixture::{Act, Add, Bench, Keep, Pressed, act, lab_for, log, logged};

/// R4.1, R4.3, R4.4
#[tokio::test]
async fn a_token_in_state_outlives_the_host() {
    let bench = Bench::new().await;
    bench
        .run(|cx| async move {
            let sum = cx.callback(Add { a: 2, b: 3 }).await?;
            cx.set("sum", &sum).await
        })
        .await;
    let bench = bench.crash().await;
    let sum = bench
        .run(|cx| async move {
            let sum: Callback<(), u64> = cx.get("sum").await?.unwrap();
            cx.run(&sum, ()).await
        })
        .await;
    assert_eq!(sum, 5);
}

/// R4.2, R4.4
#[tokio::test]
async fn a_callback_takes_its_input_and_gives_back_its_value() {
    let bench = Bench::new().await;
    let said = bench
        .run(|cx| async move {
            let token: Callback<u32, String> = cx.callback(Keep { text: "seven".into() }).await?;
            let first = cx.run(&token, 7).await?;
            // In the same dispatch, so what it wrote is read here.
            assert_eq!(cx.get::<(String, u32)>("kept").await?, Some(("seven".into(), 7)));
            let second = cx.run(Keep { text: "eight".into() }, 8).await?;
            Ok((first, second))
        })
        .await;
    assert_eq!(said, ("seven 7".to_owned(), "eight 8".to_owned()));
    bench.run(|cx| async move { cx.run_task_with(Keep { text: "nine".into() }, 9).await.map(drop) }).await;
    assert_eq!(bench.value("kept").await, json!(["nine", 9]));
}

/// R4.3: a token whose types were forged at reading it is an error, and not a wrong value.
#[tokio::test]
async fn a_token_that_is_read_as_another_type_is_refused() {
    let bench = Bench::new().await;
    bench
        .run(|cx| async move {
            let token = cx.callback(Add { a: 1, b: 1 }).await?;
            let other: Callback<(), String> = Callback::from_token(token.token());
            assert_eq!(cx.run(&other, ()).await.unwrap_err().kind(), &ErrorKind::Bug);
            let other: Callback<u32, u64> =
                Callback::from_token(cx.callback(Keep { text: String::new() }).await?.token());
            assert_eq!(cx.run(&other, 1).await.unwrap_err().kind(), &ErrorKind::Bug);
            let other: Callback<(), String> =
                Callback::from_token(cx.callback(Keep { text: String::new() }).await?.token());
            assert_eq!(cx.run(&other, ()).await.unwrap_err().kind(), &ErrorKind::Bug);
            Ok(())
        })
        .await;
}

/// R4.3
#[tokio::test]
async fn foreign_and_forged_tokens_are_a_typed_error() {
    let bench = Bench::new().await;
    let bob = bench.runtime().connect(lab_for("bob")).await.unwrap().id;
    let adas = bench.run(|cx| async move { cx.callback(Add { a: 1, b: 1 }).await }).await;
    let token = adas.clone();
    let seen = bench
        .queue_on(bob, move |cx| {
            let token = token.clone();
            async move {
                let run = cx.run(&token, ()).await.unwrap_err();
                let queued = cx.run_task(&token).await.unwrap_err();
                let deleted = cx.delete_callback(&token).await.unwrap_err();
                Ok([run, queued, deleted].map(|error| error.kind().clone()))
            }
        })
        .await;
    bench.host.settle().await;
    assert_eq!(seen.lock().unwrap().pop().unwrap().unwrap(), [ErrorKind::Gone, ErrorKind::Gone, ErrorKind::Gone]);
    bench
        .run(move |cx| {
            let token = adas.token().to_owned();
            async move {
                let mut changed = token.clone();
                let last = changed.pop().unwrap();
                changed.push(if last == '0' { '1' } else { '0' });
                for forged in [changed, String::new(), "x".into(), token[..token.len() / 2].to_owned(), "é".repeat(40)]
                {
                    let error = cx.run(&Callback::<(), u64>::from_token(forged), ()).await.unwrap_err();
                    assert_eq!(error.kind(), &ErrorKind::Gone);
                }
                assert_eq!(cx.run(&Callback::<(), u64>::from_token(token), ()).await?, 2);
                Ok(())
            }
        })
        .await;
}

/// R4.3: for tokens that carry their callback, and for those whose arguments are too large for that.
#[tokio::test]
async fn a_deleted_callback_does_not_run() {
    for text in ["short".to_owned(), "long ".repeat(1000)] {
        let bench = Bench::new().await;
        let given = text.clone();
        let (kept, gone) = bench
            .run(move |cx| {
                let text = given.clone();
                async move { Ok((cx.callback(Keep { text: text.clone() }).await?, cx.callback(Keep { text }).await?)) }
            })
            .await;
        assert_ne!(kept, gone);
        assert!(kept.token().len() <= 256, "a token stays short: {}", kept.token().len());
        let deleted = gone.clone();
        bench
            .run(move |cx| {
                let deleted = deleted.clone();
                async move {
                    cx.delete_callback(&deleted).await?;
                    // Not even in the dispatch that deleted it.
                    assert_eq!(cx.run(&deleted, 1).await.unwrap_err().kind(), &ErrorKind::Gone);
                    cx.delete_callback(&deleted).await
                }
            })
            .await;
        let bench = bench.crash().await;
        let said = bench
            .run(move |cx| {
                let (kept, gone) = (kept.clone(), gone.clone());
                async move {
                    assert_eq!(cx.run(&gone, 1).await.unwrap_err().kind(), &ErrorKind::Gone);
                    cx.run(&kept, 1).await
                }
            })
            .await;
        assert_eq!(said, format!("{text} 1"));
    }
}

/// R4.3: one that was made and deleted in one dispatch.
#[tokio::test]
async fn a_callback_can_be_made_and_deleted_in_one_dispatch() {
    let bench = Bench::new().await;
    let token = bench
        .run(|cx| async move {
            let token = cx.callback(Keep { text: "x".repeat(1000) }).await?;
            assert_eq!(cx.run(&token, 1).await?.len(), 1002);
            cx.delete_callback(&token).await?;
            assert_eq!(cx.run(&token, 1).await.unwrap_err().kind(), &ErrorKind::Gone);
            Ok(token)
        })
        .await;
    bench
        .run(move |cx| {
            let token = token.clone();
            async move {
                assert_eq!(cx.run(&token, 1).await.unwrap_err().kind(), &ErrorKind::Gone);
                Ok(())
            }
        })
        .await;
}

/// R4.3: all that there were, also those given away; and none that is made afterwards.
#[tokio::test]
async fn deleting_all_callbacks_spares_those_made_later() {
    for text in ["short".to_owned(), "long ".repeat(1000)] {
        for checkpoint in [false, true] {
            let bench = Bench::new().await;
            let given = text.clone();
            let old = bench
                .run(move |cx| {
                    let text = given.clone();
                    async move { cx.callback(Keep { text }).await }
                })
                .await;
            let (given, before) = (text.clone(), old.clone());
            let new = bench
                .run(move |cx| {
                    let (text, old) = (given.clone(), before.clone());
                    async move {
                        let pending = cx.callback(Keep { text: text.clone() }).await?;
                        cx.delete_all_callbacks().await?;
                        if checkpoint {
                            cx.checkpoint().await?;
                        }
                        let new = cx.callback(Keep { text }).await?;
                        assert_eq!(cx.run(&old, 1).await.unwrap_err().kind(), &ErrorKind::Gone);
                        assert_eq!(cx.run(&pending, 1).await.unwrap_err().kind(), &ErrorKind::Gone);
                        cx.run(&new, 1).await?;
                        Ok(new)
                    }
                })
                .await;
            bench
                .run(move |cx| {
                    let (old, new) = (old.clone(), new.clone());
                    async move {
                        assert_eq!(cx.run(&old, 1).await.unwrap_err().kind(), &ErrorKind::Gone);
                        cx.run(&new, 1).await.map(drop)
                    }
                })
                .await;
        }
    }
}

/// R4.3, R6.1: a task whose callback was deleted before it ran does not run.
#[tokio::test]
async fn a_queued_token_that_is_deleted_ends_its_task() {
    let bench = Bench::new().await;
    act("never", |_| async {
        log("ran");
        Ok(())
    });
    let token = bench
        .run(|cx| async move {
            let token = cx.callback(Act { name: "never".into() }).await?;
            cx.run_task_at(&token, cx.now().checked_add(SignedDuration::from_hours(1)).unwrap()).await?;
            Ok(token)
        })
        .await;
    bench
        .run(move |cx| {
            let token = token.clone();
            async move { cx.delete_callback(&token).await }
        })
        .await;
    bench.advance("2h").await;
    assert_eq!(logged(), [""; 0]);
    assert!(bench.tasks_of("act").await.is_empty());
    assert!(bench.dead().await.is_empty());
}

/// R4.6
#[tokio::test]
async fn an_action_callback_takes_the_action() {
    let bench = Bench::new().await;
    let token: Callback<Action> = bench.run(|cx| async move { cx.callback(Pressed { id: 4 }).await }).await;
    let shown = ActionButton::run("Approve", &token);
    assert_eq!(serde_json::to_value(&shown).unwrap(), json!({"label": "Approve", "callback": token.token()}));
    let action = json!({"label": "Approve", "actor": {"id": "gh-ada"}, "thread": "thr_1"});
    bench
        .run(move |cx| {
            let (token, action) = (token.clone(), action.clone());
            async move { cx.run(&token, serde_json::from_value(action)?).await }
        })
        .await;
    assert_eq!(bench.value("pressed").await, json!([4, "Approve"]));
}

/// What `grown` was in its first version.
mod first {
    use super::*;

    #[connector(id = "grown", single_channel, version = "1", options = Settings)]
    #[derive(Default)]
    pub(crate) struct Grown;

    #[derive(Options)]
    pub(crate) struct Settings {
        /// Kept.
        #[option(default = 5)]
        pub old: u32,
    }

    #[connector]
    impl Connector for Grown {
        async fn get_channels(&self, cx: &Context<Self>, _: &Account) -> Result<Vec<Channel>> {
            let one = Channel::new("only", "Only");
            Ok(if cx.options().old == 77 { vec![one, Channel::new("second", "Second")] } else { vec![one] })
        }

        async fn activate(&self, cx: &Context<Self>, _: &Authorization, _: &Actor) -> Result<()> {
            let token = cx.callback(Greet { name: "Ada".into() }).await?;
            cx.set("token", &token).await?;
            cx.set("large", &cx.callback(Greet { name: "Ada".repeat(200) }).await?).await?;
            let later = cx.now().checked_add(SignedDuration::from_hours(1)).unwrap();
            cx.run_task_at(Greet { name: "queued".into() }, later).await?;
            cx.run_task_at(Dropped { what: 1 }, later).await.map(drop)
        }
    }

    #[connector]
    impl Grown {
        #[callback]
        async fn greet(&self, _: &Context<Self>, name: String) -> Result<String> {
            Ok(name)
        }

        #[callback]
        async fn dropped(&self, _: &Context<Self>, what: u32) -> Result<u32> {
            Ok(what)
        }
    }
}

/// What `grown` became: the callback has another name and another argument, one is gone, an option came in.
mod second {
    use super::*;

    #[connector(id = "grown", single_channel, version = "2", options = Settings)]
    #[derive(Default)]
    pub(crate) struct Grown;

    #[derive(Options)]
    pub(crate) struct Settings {
        /// Kept.
        #[option(default = 5)]
        pub old: u32,
        /// New.
        #[option(default = 8)]
        pub new: u32,
    }

    #[connector]
    impl Connector for Grown {
        async fn get_channels(&self, _: &Context<Self>, _: &Account) -> Result<Vec<Channel>> {
            Ok(vec![Channel::new("only", "Only")])
        }

        async fn upgrade(&self, cx: &Context<Self>, from: &str) -> Result<()> {
            log(format!("upgrade from {from} old={} new={}", cx.options().old, cx.options().new));
            for key in ["token", "large"] {
                let token: Callback<(), String> = cx.get(key).await?.unwrap();
                log(cx.run(&token, ()).await?.chars().rev().take(6).collect::<String>());
            }
            Ok(())
        }

        async fn on_options_changed(&self, _: &Context<Self>, old: &Settings, new: &Settings) -> Result<()> {
            log(format!("{}+{} -> {}+{}", old.old, old.new, new.old, new.new));
            Ok(())
        }
    }

    #[connector]
    impl Grown {
        #[callback(alias = "greet")]
        async fn salute(
            &self,
            _: &Context<Self>,
            name: String,
            #[default("!".to_owned())] mark: String,
        ) -> Result<String> {
            log(format!("salute {}", name.len()));
            Ok(format!("{name}{mark}"))
        }
    }
}

/// R4.5, R3.1, R2.4
#[tokio::test]
async fn tokens_and_tasks_of_an_older_version_run_the_new_code() {
    let host = TestHost::new(Registry::of::<first::Grown>().unwrap());
    let mut request = ConnectRequest::new("grown", "ada");
    request.options.insert("old".into(), json!(6));
    let id = host.runtime().connect(request).await.unwrap().id;
    host.settle().await;
    logged();

    let host = host.upgrade(Registry::of::<second::Grown>().unwrap()).await;
    assert_eq!(host.runtime().upgrade_connections().await.unwrap(), 1);
    host.settle().await;
    assert_eq!(logged(), ["upgrade from 1 old=6 new=8", "salute 3", "!adA", "salute 600", "!adAad"]);
    assert_eq!(host.runtime().connection(id).await.unwrap().connector_version, "2");

    // Once each, however often the host starts.
    assert_eq!(host.runtime().upgrade_connections().await.unwrap(), 0);
    let host = host.crash().await;
    assert_eq!(host.runtime().upgrade_connections().await.unwrap(), 0);
    host.settle().await;
    assert_eq!(logged(), [""; 0]);

    // A task of a callback that is no more is kept, with an error that says what to do.
    host.advance(SignedDuration::from_hours(3)).await;
    assert_eq!(logged(), ["salute 6"]);
    let dead = host.runtime().dead_tasks(connector_core::engine::TaskQuery::all(9)).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].does, "dropped");
    assert!(dead[0].errors[0].message.contains("alias"), "{:?}", dead[0].errors);

    let options = json!({"old": 7}).as_object().cloned();
    let update = connector_core::runtime::ConnectionUpdate { options, ..Default::default() };
    host.runtime().update_connection(id, update).await.unwrap();
    host.settle().await;
    assert_eq!(logged(), ["6+8 -> 7+8"]);
}

/// R3.1: a host with a newer connector does not take a connection's update for all of them.
#[tokio::test]
async fn every_connection_is_upgraded() {
    let host = TestHost::new(Registry::of::<first::Grown>().unwrap());
    for user in ["ada", "bob", "cy"] {
        host.runtime().connect(ConnectRequest::new("grown", user)).await.unwrap();
    }
    host.settle().await;
    let host = host.upgrade(Registry::of::<second::Grown>().unwrap()).await;
    host.runtime().connect(ConnectRequest::new("grown", "new")).await.unwrap();
    assert_eq!(host.runtime().upgrade_connections().await.unwrap(), 3);
    host.settle().await;
    assert_eq!(logged().iter().filter(|line| line.starts_with("upgrade from 1")).count(), 3);
}

/// R1.6
#[tokio::test]
async fn a_single_channel_is_enabled_with_its_connection() {
    let host = TestHost::new(Registry::of::<first::Grown>().unwrap());
    let id = host.runtime().connect(ConnectRequest::new("grown", "ada")).await.unwrap().id;
    let channels = host.runtime().channels(id).await.unwrap();
    assert_eq!(channels.len(), 1);
    assert!(channels[0].enabled);
    let mut request = ConnectRequest::new("grown", "bob");
    request.options.insert("old".into(), json!(77));
    let error = host.runtime().connect(request).await.unwrap_err().to_string();
    assert!(error.contains("single_channel") && error.contains('2'), "{error}");
    assert_eq!(host.runtime().ports().engine.counts().await.unwrap().connections, 1);
}
