//! What has been sent is not sent again, whatever goes wrong behind it, and keys of requests are nobody else's.

use std::sync::{Arc, Mutex};

use connector_core::engine::{CommitError, Expect};
use connector_core::id::{NoteId, ThreadId};
use connector_core::model::Delivery;
use connector_core::prelude::*;
use connector_core::runtime::{LinkUpdate, NewUserNote};
use connector_core::testing::{FakeService, Fault};

use crate::fixture::{Bench, Lab, handler, log, logged, on, source, ticket};

type Statuses = Arc<Mutex<Vec<u16>>>;

/// A service that takes what is sent, and answers reads with these statuses, the last one for ever.
fn service(reads: &[u16]) -> FakeService {
    let left: Statuses = Arc::new(Mutex::new(reads.to_vec()));
    FakeService::new(move |request| {
        if request.method != "GET" || request.url.path() != "/notes/n1" {
            return FakeService::answer(200, r#"{"id": "n1"}"#);
        }
        let mut left = left.lock().unwrap();
        let status = if left.len() > 1 { left.remove(0) } else { left[0] };
        match status {
            429 => FakeService::answer_with(429, &[("retry-after", "7200")], "{}"),
            status => FakeService::answer(status, r#"{"id": "n1"}"#),
        }
    })
}

async fn bench(service: FakeService) -> (Bench, ThreadId) {
    let bench = Bench::with(service).await;
    bench.enable("one").await;
    bench.save([ticket(1)]).await;
    let thread = bench.link(&source(1)).await.unwrap().link.thread;
    (bench, thread)
}

async fn writes(bench: &Bench, thread: ThreadId) -> NoteId {
    let new = NewUserNote {
        user: "ada".into(),
        content: "Hello".into(),
        link: None,
        recipients: vec![],
        attachments: vec![],
    };
    bench.runtime().create_note(thread, new).await.unwrap().id
}

/// Reads, sends the note, and reads what came of it.
fn sends_and_reads() {
    on(|handlers| {
        handlers.note_created = Some(handler(|cx: Context<Lab>, (note, _): (Note, Thread)| async move {
            cx.provider().get("/draft").send().await?;
            cx.provider().post("/notes").json(&note.content).send().await?;
            cx.provider().get("/notes/n1").send().await?;
            Ok(WriteBack::delivered("n1"))
        }));
    });
}

fn sent(bench: &Bench) -> usize {
    bench.service.requests().iter().filter(|request| request.method == "POST").count()
}

/// L40: a note is sent once, whatever the read behind it is answered.
#[tokio::test]
async fn a_fault_at_a_read_behind_a_write_sends_nothing_twice() {
    let fine = Delivery::Delivered;
    let cases: [(&[u16], Delivery); 8] = [
        (&[503, 503, 503, 503, 200], fine.clone()),
        (&[500, 200], fine.clone()),
        (&[500], Delivery::Unknown),
        (&[404, 200], Delivery::Unknown),
        (&[404], Delivery::Unknown),
        (&[422], Delivery::Unknown),
        (&[403], Delivery::Unknown),
        (&[429, 200], fine),
    ];
    for (reads, delivery) in cases {
        sends_and_reads();
        let (bench, thread) = bench(service(reads)).await;
        let note = writes(&bench, thread).await;
        bench.advance("48h").await;
        assert_eq!(sent(&bench), 1, "{reads:?}");
        assert_eq!(bench.note(note).await.note.delivery, Some(delivery), "{reads:?}");
        assert!(bench.dead().await.is_empty(), "{reads:?}");
    }
}

/// L40: while the read behind it is tried again, the note is being sent; when the host stops then, it is unknown.
#[tokio::test]
async fn a_stop_behind_a_write_leaves_the_note_unknown() {
    sends_and_reads();
    let (bench, thread) = bench(service(&[500, 500, 200])).await;
    let note = writes(&bench, thread).await;
    bench.host.settle().await;
    assert_eq!(bench.note(note).await.note.delivery, Some(Delivery::Sending));
    assert!(bench.runtime().discard_note(note, &"ada".into()).await.is_err(), "it is at the service");
    let bench = bench.crash().await;
    bench.advance("1h").await;
    assert_eq!((sent(&bench), bench.note(note).await.note.delivery), (1, Some(Delivery::Unknown)));
}

/// L40: a request that differs in each attempt is another one, and is not sent.
#[tokio::test]
async fn a_write_that_differs_in_each_attempt_is_not_sent_again() {
    on(|handlers| {
        handlers.note_created = Some(handler(|cx: Context<Lab>, _| async move {
            cx.provider().post("/notes").json(&cx.attempt()).send().await?;
            cx.provider().get("/notes/n1").send().await?;
            Ok(WriteBack::delivered("n1"))
        }));
    });
    let (bench, thread) = bench(service(&[500, 200])).await;
    let note = writes(&bench, thread).await;
    bench.advance("1h").await;
    assert_eq!((sent(&bench), bench.note(note).await.note.delivery), (1, Some(Delivery::Unknown)));
}

/// L40: a write that the service refuses is sent again, and those before it are not.
#[tokio::test]
async fn a_write_that_failed_is_sent_again() {
    let failed: Statuses = Arc::default();
    let fails = Arc::clone(&failed);
    let service = FakeService::new(move |request| {
        if request.url.path() == "/second" && fails.lock().unwrap().is_empty() {
            fails.lock().unwrap().push(500);
            return FakeService::answer(500, "{}");
        }
        FakeService::answer(200, "{}")
    });
    on(|handlers| {
        handlers.note_created = Some(handler(|cx: Context<Lab>, _| async move {
            cx.provider().post("/first").send().await?;
            cx.provider().post("/second").send().await?;
            Ok(WriteBack::delivered("n1"))
        }));
    });
    let (bench, thread) = bench(service).await;
    let note = writes(&bench, thread).await;
    bench.advance("1h").await;
    let posts: Vec<_> = bench.service.requests().into_iter().filter(|request| request.method == "POST").collect();
    let paths: Vec<_> = posts.iter().map(|request| request.url.path()).collect();
    assert_eq!(paths, ["/first", "/second", "/second"]);
    assert_eq!(bench.note(note).await.note.delivery, Some(Delivery::Delivered));
}

/// L40: a change of a link is sent once, whatever fails behind it: a read, or the commit.
#[tokio::test]
async fn a_change_of_a_link_is_sent_once_whatever_fails_behind_it() {
    on(|handlers| {
        handlers.link_updated = Some(handler(|cx: Context<Lab>, _| async move {
            let changes: u32 = cx.get("changes").await?.unwrap_or(0);
            cx.set("changes", &(changes + 1)).await?;
            cx.provider().post("/change").send().await?;
            cx.provider().get("/notes/n1").send().await?;
            Ok(())
        }));
    });
    let (bench, _) = bench(service(&[500, 503, 200])).await;
    let conflicts = Mutex::new(2);
    bench.host.engine().fail_commits(move |set| {
        let relies = set.expects.iter().any(|expect| matches!(expect, Expect::State { .. }));
        let mut left = conflicts.lock().unwrap();
        let strikes = set.completes.is_some() && relies && *left > 0;
        *left -= i32::from(strikes);
        strikes.then(|| Fault::Fail(CommitError::StateConflict("changes".to_owned())))
    });
    let link = bench.link(&source(1)).await.unwrap().id();
    let update = LinkUpdate { title: Some("Another".to_owned()), ..LinkUpdate::default() };
    bench.runtime().update_link(link, &"ada".into(), update).await.unwrap();
    bench.advance("1h").await;
    assert_eq!(sent(&bench), 1);
    assert_eq!(bench.value("changes").await, 1);
    assert_eq!(bench.link(&source(1)).await.unwrap().link.delivery, Some(Delivery::Delivered));
}

/// L35: a host that starts from a backup sends other keys than those that the service has seen since, under ids that
/// are the same; and the same attempt keeps its key over a crash.
#[tokio::test]
async fn a_restored_backup_sends_no_key_of_another_message() {
    on(|handlers| {
        handlers.note_created = Some(handler(|cx: Context<Lab>, (note, _): (Note, Thread)| async move {
            log(format!("{} {}", note.id, cx.idempotency_key()));
            if cx.attempt() == 1 { Err(Error::transient("502")) } else { Ok(WriteBack::accepted()) }
        }));
    });
    let (bench, thread) = bench(service(&[200])).await;
    let backup = bench.host.engine().restored();
    writes(&bench, thread).await;
    bench.host.settle().await;
    let bench = bench.crash().await;
    bench.advance("1h").await;
    let before = logged();
    assert_eq!(before.len(), 2);
    assert_eq!(before[0], before[1], "the attempts of one message");

    let bench = Bench { host: bench.host.restore(backup).await, ..bench };
    writes(&bench, thread).await;
    bench.advance("1h").await;
    let after = logged();
    let (before, after) = (before[0].split_once(' ').unwrap(), after[0].split_once(' ').unwrap());
    assert_eq!(before.0, after.0, "the backup gives the same ids again");
    assert_ne!(before.1, after.1, "and another key");
}
