use std::sync::{Arc, Mutex};

use connector_core::engine::{LinkQuery, NoteRow, SyncState, Write};
use connector_core::model::Delivery;
use connector_core::prelude::*;
use connector_core::registry::Registry;
use connector_core::runtime::TaskView;
use connector_core::testing::{FakeService, Fault, TestHost};

use crate::fixture::{
    Act, Bench, Changed, Lab, act, ada, at, handler, lab_for, log, logged, note, on, quiet, source, ticket,
};

/// Adds one to a stored number.
async fn count(cx: &Context<Lab>, key: &str, by: u64) -> Result<()> {
    let before: u64 = cx.get(key).await?.unwrap_or(0);
    cx.set(key, &(before + by)).await
}

/// A service that keeps what is posted to it, and the handlers that sync from it.
fn scenario() -> (Arc<Mutex<Vec<String>>>, FakeService) {
    let posted: Arc<Mutex<Vec<String>>> = Arc::default();
    let (listed, taken) = (Arc::clone(&posted), Arc::clone(&posted));
    on(|handlers| {
        handlers.items = Some(handler(move |cx: Context<Lab>, (channel, cursor): (ChannelId, Option<u64>)| {
            let posted = listed.lock().unwrap().clone();
            async move {
                let page = cursor.unwrap_or(0);
                if page < 3 {
                    count(&cx, "pages", 1).await?;
                    let link = ticket(page).notes([note(page, "body", "Hello")]);
                    cx.integrations().save_link(link).await?;
                    cx.mark_dirty(Changed { channel }, [format!("id {page}")]).await?;
                    cx.run_task(Act { name: "after".into() }).await?;
                    return Ok(Step::Next(page + 1));
                }
                let notes = posted.iter().enumerate().map(|(number, text)| {
                    NewNote::new(source(0), format!("n{number}"), ada(), at(5), Content::markdown(text.clone()))
                });
                cx.integrations().save_notes(notes).await?;
                Ok(Step::Done(page))
            }
        }));
        handlers.changed = Some(handler(|cx: Context<Lab>, (_, ids): (ChannelId, Vec<String>)| async move {
            count(&cx, "drained", ids.len() as u64).await?;
            Ok(Drained::all())
        }));
        handlers.note_created = Some(handler(|cx: Context<Lab>, (note, _): (Note, Thread)| async move {
            let key: String = cx.provider().post("/notes").json(&note.content).fetch().await?;
            Ok(WriteBack::delivered(key))
        }));
    });
    act("after", |cx| async move { count(&cx, "after", 1).await });
    let service = FakeService::new(move |request| {
        if request.url.path() != "/notes" {
            return FakeService::answer(200, "{}");
        }
        let mut posted = taken.lock().unwrap();
        posted.push(serde_json::from_slice(&request.body.bytes().unwrap()).unwrap());
        FakeService::answer(200, format!("\"n{}\"", posted.len() - 1))
    });
    (posted, service)
}

/// The process that comes after, if this one was killed.
async fn restarted(bench: Bench) -> Bench {
    if bench.runtime().ports().engine.counts().await.is_err() { bench.crash().await } else { bench }
}

/// Lives through the scenario with a crash at this commit, and says what there is in the end.
async fn live(crash: Option<(usize, Fault)>) -> (usize, Vec<String>) {
    let (posted, service) = scenario();
    let mut bench = Bench::with(service).await;
    let commits = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&commits);
    bench.host.engine().fail_commits(move |_| {
        let mut counted = counted.lock().unwrap();
        *counted += 1;
        crash.as_ref().filter(|(place, _)| *place + 1 == *counted).map(|(_, fault)| fault.clone())
    });
    // The user tries again what was not done.
    while bench.runtime().enable_channel(bench.connection, &"one".into(), Default::default()).await.is_err() {
        bench = restarted(bench).await;
    }
    bench.host.settle().await;
    bench = restarted(bench).await;
    bench.advance("1m").await;
    bench = restarted(bench).await;
    bench.advance("1m").await;
    bench = restarted(bench).await;
    let link = bench.link(&source(0)).await.unwrap().link;
    let text = "On *it*.";
    loop {
        let new = connector_core::runtime::NewUserNote {
            user: "ada".into(),
            content: text.into(),
            link: None,
            recipients: vec![],
            attachments: Vec::new(),
        };
        let done = bench.runtime().create_note(link.thread, new).await.is_ok();
        bench = restarted(bench).await;
        if done || bench.notes(link.id).await.iter().any(|row| row.note.content == text) {
            break;
        }
    }
    bench.host.settle().await;
    bench = restarted(bench).await;
    bench.advance("20m").await;
    bench = restarted(bench).await;
    bench.advance("20m").await;
    bench = restarted(bench).await;
    let mine: Vec<NoteRow> = bench.notes(link.id).await.into_iter().filter(|row| row.note.content == text).collect();
    assert_eq!(mine.len(), 1, "one note, whenever it crashed");
    if mine[0].note.delivery == Some(Delivery::Unknown) {
        assert!(posted.lock().unwrap().is_empty(), "what has arrived is found again");
        bench.runtime().retry_note(mine[0].note.id, &"ada".into()).await.unwrap();
        bench.advance("20m").await;
    }
    let mut lines = Vec::new();
    for key in ["pages", "drained", "after"] {
        lines.push(format!("{key} {}", bench.value(key).await));
    }
    for row in bench.runtime().ports().engine.links(LinkQuery::all(99)).await.unwrap() {
        let notes = bench.notes(row.link.id).await;
        let notes: Vec<_> = notes
            .iter()
            .map(|row| (row.note.key.clone(), row.note.content.clone(), row.note.delivery.clone()))
            .collect();
        lines.push(format!("{} {:?} {notes:?}", row.link.source, row.link.title));
    }
    for task in bench.tasks().await {
        lines.push(format!("task {} {:?} {:?}", task.does, task.channel, task.errors));
    }
    lines.sort();
    let channel = bench.channel("one").await;
    lines.push(format!("{:?} {:?} {}", channel.sync.state, channel.walking, channel.sync.saved));
    let dead = bench.dead().await;
    lines.push(format!("posted {:?}, dead {dead:?}", posted.lock().unwrap()));
    let commits = *commits.lock().unwrap();
    (commits, lines)
}

/// R6.5, R7.1, R9.4, L8: whichever commit is the last before the process is killed, and whether it was
/// stored or not, in the end there is the same, and everything in the store has happened once.
#[tokio::test]
async fn a_crash_at_any_commit_changes_nothing() {
    let (commits, expected) = live(None).await;
    assert!(commits > 12, "{commits}");
    assert!(
        expected.iter().any(|line| line == "pages 3") && expected.iter().any(|line| line == "drained 3"),
        "{expected:#?}"
    );
    for place in 0..commits {
        for fault in [Fault::CrashBefore, Fault::CrashAfter] {
            let (_, lines) = live(Some((place, fault.clone()))).await;
            assert_eq!(lines, expected, "{fault:?} at commit {place}");
        }
    }
}

/// R6.5: a store that refuses a while is tried again, and nothing is lost or done twice.
#[tokio::test]
async fn a_store_that_fails_for_a_while_changes_nothing() {
    let (commits, expected) = live(None).await;
    for place in 0..commits {
        let error = connector_core::engine::EngineError::Failed("full".into());
        let (_, lines) = live(Some((place, Fault::Fail(error.into())))).await;
        assert_eq!(lines, expected, "at commit {place}");
    }
}

/// R6.5: what a store that fails puts off is none of the attempts of a task.
#[tokio::test]
async fn a_store_that_fails_for_long_uses_up_no_attempts() {
    let bench = Bench::new().await;
    act("kept", |cx| async move { cx.set("kept", &true).await });
    let mut left = 40;
    bench.host.engine().fail_commits(move |set| {
        let does = set.writes.iter().any(|write| matches!(write, Write::PutState { .. }));
        let fails = set.completes.is_some() && does && left > 0;
        left -= i32::from(fails);
        fails.then(|| Fault::Fail(connector_core::engine::EngineError::Failed("full".into()).into()))
    });
    bench.runtime().queue(bench.connection, Act { name: "kept".into() }).await.unwrap();
    bench.advance("2h").await;
    assert_eq!(bench.value("kept").await, true);
    assert!(bench.dead().await.is_empty());
}

/// R7.1
#[tokio::test]
async fn a_checkpoint_stays_when_the_dispatch_fails() {
    let bench = Bench::new().await;
    act("half", |cx| async move {
        let seen: Option<u32> = cx.get("first").await?;
        cx.set("first", &(seen.unwrap_or(0) + 1)).await?;
        cx.run_task(Act { name: "queued".into() }).await?;
        cx.checkpoint().await?;
        assert_eq!(cx.get::<u32>("first").await?, Some(seen.unwrap_or(0) + 1));
        cx.set("second", &1).await?;
        Err(Error::rejected("no"))
    });
    act("queued", |_| async {
        log("queued");
        Ok(())
    });
    bench.run(|cx| async move { cx.run_task(Act { name: "half".into() }).await.map(drop) }).await;
    assert_eq!(bench.value("first").await, 1);
    assert_eq!(bench.value("second").await, serde_json::Value::Null);
    assert_eq!(logged(), ["queued"]);
}

/// R7.1: one checkpoint after another, with reads of what the one before wrote, are no conflict.
#[tokio::test]
async fn checkpoints_follow_each_other() {
    let bench = Bench::new().await;
    bench
        .run(|cx| async move {
            for round in 0..5_u32 {
                assert_eq!(cx.get::<u32>("round").await?.unwrap_or(0), round);
                assert_eq!(cx.list("").await?.len(), usize::from(round > 0));
                cx.set("round", &(round + 1)).await?;
                cx.checkpoint().await?;
            }
            cx.integrations().save_link(ticket(1)).await?;
            cx.checkpoint().await?;
            // A link that a checkpoint stored is there for its notes.
            cx.integrations().save_note(note(1, "a", "b")).await.map(drop)
        })
        .await;
    assert_eq!(bench.value("round").await, 5);
}

/// R7.2
#[tokio::test]
async fn a_panic_fails_its_dispatch_and_nothing_else() {
    let bench = Bench::new().await;
    act("panics", |_| async { panic!("{} of {}", 1, 2) });
    act("fine", |cx| async move { cx.set("fine", &true).await });
    bench
        .run(|cx| async move {
            cx.run_task(Act { name: "panics".into() }).await?;
            cx.run_task(Act { name: "fine".into() }).await.map(drop)
        })
        .await;
    assert_eq!(bench.value("fine").await, true);
    bench.advance("1h").await;
    let dead = bench.dead().await;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].errors.len(), 3);
    assert!(dead[0].errors[2].message.contains("panicked: 1 of 2"), "{:?}", dead[0].errors);
}

/// R6.7, R7.2
#[tokio::test]
async fn a_dispatch_that_never_ends_fails_after_its_time() {
    let bench = Bench::new().await;
    act("stuck", |cx| async move {
        cx.set("stuck", &true).await?;
        log(format!("{}", cx.now().as_second() - at(0).as_second()));
        std::future::pending().await
    });
    bench.run(|cx| async move { cx.run_task(Act { name: "stuck".into() }).await.map(drop) }).await;
    assert_eq!(logged(), ["0"]);
    assert_eq!(bench.host.clock().now(), at(60));
    let task = bench.tasks_of("act").await.remove(0);
    assert!(task.errors[0].message.contains("60 s"), "{:?}", task.errors);
    assert_eq!(task.errors[0].kind, ErrorKind::Transient);
    assert_eq!(bench.value("stuck").await, serde_json::Value::Null);
}

/// R6.7
#[tokio::test]
async fn a_dispatch_that_makes_too_many_requests_fails() {
    let host =
        TestHost::with_network(Registry::of::<Lab>().unwrap(), quiet()).configure(|config| config.max_requests = 10);
    let bench = Bench::on(host, quiet()).await;
    act("busy", |cx| async move {
        for number in 0..11 {
            cx.provider().get(format!("/{number}")).send().await.inspect_err(|_| log(format!("{number}")))?;
        }
        Ok(())
    });
    bench.run(|cx| async move { cx.run_task(Act { name: "busy".into() }).await.map(drop) }).await;
    bench.advance("1h").await;
    assert_eq!(logged(), ["10", "10", "10"]);
    assert!(bench.dead().await[0].errors[0].message.contains("more than 10 requests"));
}

/// R7.1: commits of other connections do not come between, however many there are.
#[tokio::test]
async fn a_commit_that_is_refused_for_a_record_is_resolved_anew() {
    let bench = Bench::enabled().await;
    bench.save([ticket(1)]).await;
    let fails = Arc::new(Mutex::new(3));
    bench.host.engine().fail_commits(move |set| {
        let mut fails = fails.lock().unwrap();
        let links = set.writes.iter().any(|write| matches!(write, connector_core::engine::Write::PutLink { .. }));
        (links && *fails > 0).then(|| {
            *fails -= 1;
            connector_core::engine::CommitError::RecordConflict.into()
        })
    });
    bench.save([ticket(1).title("New"), ticket(2)]).await;
    assert_eq!(bench.link(&source(1)).await.unwrap().link.title.as_deref(), Some("New"));
    assert_eq!(bench.links().await.len(), 2);
}

/// A host that dies whenever a task has run, and comes up again this many hours later, until it stays alive.
async fn killed_by_a_task(pause: i64) -> Bench {
    let bench = Bench::new().await;
    act("kills", |_| async {
        log("kills");
        Ok(())
    });
    bench.run(|cx| async move { cx.run_task_at(Act { name: "kills".into() }, at(60)).await.map(drop) }).await;
    bench.host.clock().set(at(61));
    let mut bench = bench.crash().await;
    for _ in 0..40 {
        // The process dies as soon as the code has run.
        bench.host.engine().fail_commits(|set| {
            let ends =
                set.completes.as_ref().is_some_and(|end| matches!(end.then, connector_core::engine::After::Delete));
            ends.then_some(Fault::CrashBefore)
        });
        let workers = bench.runtime().start().await.unwrap();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let alive = bench.runtime().ports().engine.counts().await.is_ok();
        workers.stop(bench.runtime()).await;
        if alive {
            break;
        }
        bench.host.clock().advance(SignedDuration::from_hours(pause));
        bench = bench.crash().await;
    }
    bench
}

/// R6.5: a task that kills the host each time it runs ends as a dead letter, with real workers.
#[tokio::test]
async fn a_task_that_kills_the_host_does_not_do_so_for_ever() {
    let bench = killed_by_a_task(1).await;
    assert_eq!(logged().len(), 12);
    let dead = bench.dead().await;
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert!(dead[0].errors[0].message.contains("stopped without notice"), "{dead:?}");
    assert_eq!(bench.channel("one").await.sync.state, SyncState::Off);
}

/// R6.6: a host that is killed again and again makes no dead letters of what it was about to run: that waits.
#[tokio::test]
async fn a_host_that_is_killed_often_loses_no_task() {
    let bench = killed_by_a_task(0).await;
    assert_eq!(logged().len(), 2, "then it is put off");
    assert!(bench.dead().await.is_empty());
    bench.host.engine().fail_commits(|_| None);
    bench.advance("1m").await;
    assert_eq!(logged(), ["kills"]);
    assert!(bench.tasks_of("act").await.is_empty());
}

/// R6.6: the note that a task may have stopped the host is no error of a run that has ended since.
#[tokio::test]
async fn the_note_of_a_stop_goes_and_earlier_errors_stay() {
    let bench = Bench::new().await;
    act("fails", |_| async { Err(Error::transient("the service is down")) });
    bench.run(|cx| async move { cx.run_task(Act { name: "fails".into() }).await.map(drop) }).await;
    let errors = |task: &TaskView| task.errors.iter().map(|error| error.message.clone()).collect::<Vec<_>>();
    let waits = bench.tasks_of("act").await;
    assert_eq!(errors(&waits[0]), ["the service is down"]);
    bench.host.clock().set(waits[0].run_at.unwrap());
    let bench = bench.crash().await;
    bench.host.settle().await;
    let waits = bench.tasks_of("act").await;
    assert_eq!((errors(&waits[0]), waits[0].attempt), (vec!["the service is down".to_owned(); 2], 2));
}

/// R3.1: what `activate` writes is stored with the connection, also records and locks, or not at all.
#[tokio::test]
async fn activate_is_one_unit_with_its_connection() {
    let host = TestHost::with_network(Registry::of::<Lab>().unwrap(), quiet());
    on(|handlers| {
        handlers.activate = Some(handler(|cx: Context<Lab>, ()| async move {
            cx.set("mine", &1).await?;
            assert!(cx.acquire_lock("door", SignedDuration::from_hours(1)).await?);
            cx.checkpoint().await?;
            cx.integrations().save_contacts([ada()]).await?;
            cx.run_task(Act { name: "first".into() }).await?;
            if cx.owner().as_str() == "bob" { Err(Error::rejected("not you")) } else { Ok(()) }
        }));
    });
    act("first", |cx| async move {
        log(format!("first {:?}", cx.get::<u32>("mine").await?));
        Ok(())
    });
    logged();
    host.runtime().connect(lab_for("bob")).await.unwrap_err();
    host.settle().await;
    assert_eq!(host.runtime().ports().engine.counts().await.unwrap(), connector_core::engine::Counts::default());
    for id in 0..20 {
        let id = connector_core::id::ConnectionId::from_number(id);
        assert!(host.runtime().ports().engine.state_entries(id, String::new(), 9).await.unwrap().is_empty());
    }
    let id = host.runtime().connect(lab_for("ada")).await.unwrap().id;
    host.settle().await;
    assert_eq!(logged().last().unwrap(), "first Some(1)");
    let state = host.runtime().state(id, "host:h/contact").await.unwrap();
    assert_eq!(state.len(), 1, "{state:?}");
}
