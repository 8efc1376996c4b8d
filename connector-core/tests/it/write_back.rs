use std::sync::{Arc, Mutex};

use connector_core::engine::{ChannelRow, CommitError, Expect, Write};
use connector_core::id::{LinkId, ThreadId};
use connector_core::model::Delivery;
use connector_core::network::TransportError;
use connector_core::prelude::*;
use connector_core::registry::Registry;
use connector_core::runtime::{ActionError, ChannelUpdate, Compose, ConnectRequest, LinkUpdate, NewUserNote};
use connector_core::testing::{FakeService, Fault, TestHost};
use futures_util::FutureExt;
use serde_json::json;

use crate::fixture::{
    Bench, Lab, Memo, Plain, Pressed, Ticket, TicketMeta, ada, at, grace, handler, lab_for, log, logged, note, on,
    quiet, source, ticket,
};

/// Enabled, with a ticket, and its thread.
async fn bench() -> (Bench, ThreadId) {
    with_service(quiet()).await
}

async fn with_service(service: FakeService) -> (Bench, ThreadId) {
    let bench = Bench::with(service).await;
    bench.enable("one").await;
    bench.save([ticket(1)]).await;
    let thread = bench.links().await[0].link.thread;
    (bench, thread)
}

/// What the service has of the owner's note.
fn echo(key: &str, content: Content) -> NewNote {
    NewNote::new(source(1), key, ada(), at(3), content)
}

async fn all_notes(bench: &Bench) -> Vec<Note> {
    let link = bench.link(&source(1)).await.unwrap().id();
    bench.notes(link).await.into_iter().map(|row| row.note).collect()
}

fn answers(result: WriteBack) {
    on(|handlers| {
        handlers.note_created = Some(handler(move |cx: Context<Lab>, (note, _): (Note, Thread)| {
            let result = result.clone();
            async move {
                log(format!("sent {}", note.content));
                cx.provider().post("/notes").send().await?;
                Ok(result)
            }
        }));
    });
}

/// R9.1, R9.2, R9.3, L19, L25: the user's text stays while the service says what it said before.
#[tokio::test]
async fn an_echo_is_absorbed_however_often_and_keeps_the_users_text() {
    for echoes in 0..3 {
        let (bench, thread) = bench().await;
        answers(WriteBack::delivered("n1").stored(Content::text("On it.")).author(ada()));
        let written = bench.writes(thread, "On **it**.").await;
        assert_eq!(written.delivery, Some(Delivery::Pending));
        bench.host.settle().await;
        assert_eq!(logged(), ["sent On **it**."]);
        bench.runtime().set_read(thread, &"ada".into(), false).await.unwrap();
        bench.host.settle().await;
        for _ in 0..echoes {
            bench.save_notes([echo("n1", Content::text("On it."))]).await;
        }
        let notes = all_notes(&bench).await;
        assert_eq!(notes.len(), 1);
        assert_eq!((notes[0].content.as_str(), notes[0].delivery.as_ref()), ("On **it**.", Some(&Delivery::Delivered)));
        assert_eq!(
            (notes[0].key.as_ref().map(NoteKey::as_str), notes[0].written_by.as_ref().map(UserId::as_str)),
            (Some("n1"), Some("ada"))
        );
        assert_eq!(logged(), [""; 0], "nothing is written back again");
        assert!(!bench.marks(thread, "ada").await.0, "what one wrote oneself is no news");
        // Changed at the service, the service's text counts.
        bench.save_notes([echo("n1", Content::text("On it, tomorrow."))]).await;
        assert_eq!(all_notes(&bench).await[0].content, "On it, tomorrow.");
        assert!(bench.tasks_of("on_note").await.is_empty());
    }
}

/// R9.3, L19: an echo that comes before the service has answered, and once more after.
#[tokio::test]
async fn an_early_echo_is_absorbed() {
    for stored in [Content::markdown("On *it*."), Content::html("On <i>it</i>.")] {
        let (bench, thread) = bench().await;
        let tries = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&tries);
        on(|handlers| {
            handlers.note_created = Some(handler(move |_, _| {
                *counted.lock().unwrap() += 1;
                async { Err(Error::transient("502")) }
            }));
        });
        let written = bench.writes(thread, "On *it*.").await;
        bench.host.settle().await;
        // The service did take it.
        bench.save_notes([echo("n9", stored.clone()), echo("n9", stored.clone())]).await;
        let notes = all_notes(&bench).await;
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert_eq!((notes[0].id, notes[0].delivery.as_ref()), (written.id, Some(&Delivery::Delivered)));
        bench.advance("1h").await;
        assert_eq!(*tries.lock().unwrap(), 1, "it is there, and is not sent again");
        assert!(bench.tasks_of("on_note").await.is_empty());
        assert_eq!(all_notes(&bench).await[0].delivery, Some(Delivery::Delivered));
    }
}

/// R9.3, L19: a sync that stores the note between the request and the end of the write-back.
#[tokio::test]
async fn a_sync_that_overtakes_the_write_back_makes_no_second_note() {
    let (bench, thread) = bench().await;
    let engine = Arc::clone(&bench.runtime().ports().engine);
    let connection = bench.connection;
    on(|handlers| {
        handlers.note_created = Some(handler(move |_, (note, _): (Note, Thread)| {
            let engine = Arc::clone(&engine);
            async move {
                // As a sync of another host stores it, under its key, as a note of its own.
                let mut row = engine.note(note.id).await?.unwrap();
                row.note.id = connector_core::id::NoteId::from_number(engine.take_ids(1));
                (row.note.key, row.note.written_by, row.note.delivery) = (Some("n1".into()), None, None);
                row.connection = connection;
                let put = connector_core::engine::Write::PutNote { row: Box::new(row), expect: None };
                engine.commit(connector_core::engine::WriteSet::of([put])).await?;
                Ok(WriteBack::delivered("n1"))
            }
        }));
    });
    let written = bench.writes(thread, "Hello").await;
    bench.host.settle().await;
    let notes = all_notes(&bench).await;
    assert_eq!((notes.len(), notes[0].id, notes[0].key.clone()), (1, written.id, Some("n1".into())));
    bench.save_notes([echo("n1", Content::text("Hello"))]).await;
    assert_eq!(all_notes(&bench).await.len(), 1);
}

/// R9.3: another's note of the same words is another note; and each of two equal ones of the owner's is one.
#[tokio::test]
async fn the_same_words_of_another_are_another_note() {
    let (bench, thread) = bench().await;
    on(|handlers| handlers.note_created = Some(handler(|_, _| async { Ok(WriteBack::accepted()) })));
    bench.writes(thread, "+1").await;
    bench.writes(thread, "+1").await;
    bench.host.settle().await;
    bench
        .save_notes([
            note(1, "hers", "+1"),
            NewNote::new(source(1), "bot", Author::system("rule"), at(1), Content::text("+1")),
        ])
        .await;
    assert_eq!(all_notes(&bench).await.len(), 4);
    bench.save_notes([echo("a", Content::text("+1")), echo("b", Content::text("+1"))]).await;
    let notes = all_notes(&bench).await;
    assert_eq!(notes.len(), 4);
    assert!(notes.iter().all(|note| note.key.is_some()));
    bench.save_notes([echo("c", Content::text("+1"))]).await;
    assert_eq!(all_notes(&bench).await.len(), 5, "a third one was written at the service");
}

/// R9.4: what the connector says went wrong is shown; the user tries again, or discards.
#[tokio::test]
async fn a_delivery_error_is_shown_and_retried_or_discarded() {
    let (bench, thread) = bench().await;
    answers(WriteBack::failed("the address bounced"));
    let note = bench.writes(thread, "Hello").await;
    bench.host.settle().await;
    let failed = Some(Delivery::Failed { reason: "the address bounced".into() });
    assert_eq!(bench.note(note.id).await.note.delivery, failed);
    assert!(bench.dead().await.is_empty());
    bench.runtime().retry_note(note.id, &"ada".into()).await.unwrap();
    bench.host.settle().await;
    assert_eq!(bench.note(note.id).await.note.delivery, failed);
    answers(WriteBack::delivered("n1"));
    bench.runtime().retry_note(note.id, &"ada".into()).await.unwrap();
    bench.host.settle().await;
    let row = bench.note(note.id).await;
    assert_eq!((row.note.delivery, row.note.key), (Some(Delivery::Delivered), Some("n1".into())));
    assert!(bench.runtime().retry_note(note.id, &"ada".into()).await.is_err());
    assert!(bench.runtime().discard_note(note.id, &"ada".into()).await.is_err());

    answers(WriteBack::failed("no"));
    let other = bench.writes(thread, "Other").await;
    bench.host.settle().await;
    assert!(bench.runtime().discard_note(other.id, &"bob".into()).await.is_err());
    bench.runtime().discard_note(other.id, &"ada".into()).await.unwrap();
    assert_eq!(all_notes(&bench).await.len(), 1);
    // One that is discarded before it is sent is not sent.
    logged();
    let third = bench.writes(thread, "Third").await;
    bench.runtime().discard_note(third.id, &"ada".into()).await.unwrap();
    bench.advance("1h").await;
    assert_eq!(logged(), [""; 0]);
    assert!(bench.dead().await.is_empty());
}

/// R9.4, R6.6: a thrown error shows after the last retry; while it is retried, the note is on its way.
#[tokio::test]
async fn a_thrown_error_shows_after_the_last_retry() {
    let (bench, thread) = bench().await;
    on(|handlers| {
        handlers.note_created = Some(handler(|cx: Context<Lab>, _| async move {
            log(format!("{} {}", cx.attempt(), cx.idempotency_key()));
            Err(Error::transient("502"))
        }));
    });
    let note = bench.writes(thread, "Hello").await;
    bench.host.settle().await;
    assert_eq!(bench.note(note.id).await.note.delivery, Some(Delivery::Pending));
    bench.advance("5h").await;
    assert_eq!(bench.note(note.id).await.note.delivery, Some(Delivery::Failed { reason: "502".into() }));
    let lines = logged();
    assert_eq!(lines.len(), 12);
    let keys: Vec<_> = lines.iter().map(|line| line.split_once(' ').unwrap().1).collect();
    assert!(keys.iter().all(|key| *key == keys[0]), "one key for all attempts: {keys:?}");
    assert_eq!(bench.dead().await.len(), 1);
    // Edited, it is sent as it is now.
    answers(WriteBack::delivered("n1"));
    bench.runtime().edit_note(note.id, &"ada".into(), "Hello again".into()).await.unwrap();
    bench.host.settle().await;
    assert_eq!(logged(), ["sent Hello again"]);
    assert_eq!(bench.note(note.id).await.note.delivery, Some(Delivery::Delivered));
}

/// R9.4, R6.6: what the service refuses is shown at once, with what it said, and is no dead letter.
#[tokio::test]
async fn a_refusal_is_shown_at_once() {
    let (bench, thread) =
        with_service(FakeService::new(|_| FakeService::answer(422, r#"{"message": "the issue is locked"}"#))).await;
    on(|handlers| {
        handlers.note_created = Some(handler(|cx: Context<Lab>, _| async move {
            cx.provider().post("/notes").send().await?;
            Ok(WriteBack::accepted())
        }));
    });
    let note = bench.writes(thread, "Hello").await;
    bench.host.settle().await;
    let Some(Delivery::Failed { reason }) = bench.note(note.id).await.note.delivery else { panic!() };
    assert!(reason.contains("the issue is locked"), "{reason}");
    assert!(bench.dead().await.is_empty() && bench.tasks_of("on_note").await.is_empty());
}

/// R9.4, L20: the process is killed while it sends: nobody knows, until a sync tells.
#[tokio::test]
async fn a_crash_while_sending_is_unknown_until_a_sync_brings_it() {
    for arrived in [true, false] {
        let (bench, thread) = bench().await;
        on(|handlers| {
            handlers.items = Some(handler(move |cx: Context<Lab>, (_, cursor): (ChannelId, Option<u64>)| async move {
                if arrived {
                    cx.integrations().save_note(echo("n1", Content::markdown("Hello"))).await?;
                }
                log("items");
                Ok(Step::Done(cursor.unwrap_or(0)))
            }));
        });
        answers(WriteBack::delivered("n1"));
        let note = bench.writes(thread, "Hello").await;
        bench.host.engine().fail_commits(|set| set.completes.is_some().then_some(Fault::CrashBefore));
        bench.host.settle().await;
        assert_eq!(logged(), ["sent Hello"]);
        let bench = bench.crash().await;
        assert_eq!(bench.note(note.id).await.note.delivery, Some(Delivery::Sending));
        bench.host.step().await;
        assert_eq!(bench.note(note.id).await.note.delivery, Some(Delivery::Unknown));
        bench.host.settle().await;
        assert_eq!(logged(), ["items"], "it is looked for at once, and not sent again");
        let notes = all_notes(&bench).await;
        assert_eq!(notes.len(), 1);
        assert_eq!(notes[0].delivery, Some(if arrived { Delivery::Delivered } else { Delivery::Unknown }));
        assert!(bench.tasks_of("on_note").await.is_empty());
        if !arrived {
            bench.runtime().retry_note(note.id, &"ada".into()).await.unwrap();
            bench.host.settle().await;
            assert_eq!(bench.note(note.id).await.note.delivery, Some(Delivery::Delivered));
        }
    }
}

/// R10.7: what is sent with requests that may be repeated is sent again after a crash, and is never unknown.
#[tokio::test]
async fn a_repeatable_write_is_repeated_after_a_crash() {
    type Mark = fn(connector_core::network::RequestBuilder<'_>) -> connector_core::network::RequestBuilder<'_>;
    let cases: [(Method, Mark, bool); 5] = [
        (Method::PUT, |request| request, true),
        (Method::POST, |request| request.idempotency_key(), true),
        (Method::POST, |request| request.repeatable(), true),
        (Method::PUT, |request| request.not_repeatable(), false),
        (Method::POST, |request| request, false),
    ];
    for (method, mark, repeated) in cases {
        let (bench, thread) = bench().await;
        let shown = method.clone();
        on(|handlers| {
            handlers.note_created = Some(handler(move |cx: Context<Lab>, _| {
                let method = method.clone();
                async move {
                    log("sent");
                    mark(cx.provider().request(method, "/notes/txn-1")).send().await?;
                    Ok(WriteBack::delivered("n1"))
                }
            }));
        });
        let note = bench.writes(thread, "Hello").await;
        bench.host.engine().fail_commits(|set| set.completes.is_some().then_some(Fault::CrashBefore));
        bench.host.settle().await;
        let bench = bench.crash().await;
        bench.host.settle().await;
        let sent = logged().iter().filter(|line| *line == "sent").count();
        let (times, delivery) = if repeated { (2, Delivery::Delivered) } else { (1, Delivery::Unknown) };
        assert_eq!((sent, bench.note(note.id).await.note.delivery), (times, Some(delivery)), "{shown} {repeated}");
    }
}

/// R9.5, L20: whether what was composed has arrived before a crash is unknown, and the feed tells so.
#[tokio::test]
async fn what_was_composed_before_a_crash_is_unknown() {
    let (bench, _) = bench().await;
    on(|handlers| {
        handlers.create_link = Some(handler(|cx: Context<Lab>, _| async move {
            log("sent");
            cx.provider().post("/items").send().await?;
            Ok(Some(composed(7)))
        }));
    });
    let draft = compose(&bench, "Composed").await.unwrap();
    bench.host.engine().fail_commits(|set| set.completes.is_some().then_some(Fault::CrashBefore));
    bench.host.settle().await;
    let bench = bench.crash().await;
    let position = bench.runtime().ports().engine.feed_end().await.unwrap();
    bench.host.settle().await;
    assert_eq!(logged().iter().filter(|line| *line == "sent").count(), 1);
    let link = bench.runtime().ports().engine.link(draft.id).await.unwrap().unwrap();
    assert_eq!(link.link.delivery, Some(Delivery::Unknown));
    let told = bench.runtime().ports().engine.feed(position, 99).await.unwrap();
    assert!(told.iter().any(|entry| entry.id == draft.id.to_string()), "{told:?}");
}

/// R5.4, L20: state that another changed meanwhile does not make a note go out twice.
#[tokio::test]
async fn what_was_sent_is_not_sent_again_for_the_sake_of_state() {
    let (bench, thread) = bench().await;
    on(|handlers| {
        handlers.note_created = Some(handler(move |cx: Context<Lab>, (note, _): (Note, Thread)| async move {
            let sent: u32 = cx.get("sent").await?.unwrap_or(0);
            cx.set("sent", &(sent + 1)).await?;
            log(format!("sent {}", note.content));
            Ok(WriteBack::delivered("n1"))
        }));
    });
    let note = bench.writes(thread, "Hello").await;
    let conflict = Fault::Fail(CommitError::StateConflict("sent".to_owned()));
    bench.host.engine().fail_commits(move |set| {
        let relies = set.expects.iter().any(|expect| matches!(expect, Expect::State { .. }));
        (set.completes.is_some() && relies).then(|| conflict.clone())
    });
    bench.host.settle().await;
    assert_eq!(logged(), ["sent Hello"]);
    assert_eq!(bench.note(note.id).await.note.delivery, Some(Delivery::Delivered));
}

/// R9.4, L20: a request that got no answer may have arrived.
#[tokio::test]
async fn a_request_without_an_answer_is_unknown() {
    let asked = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&asked);
    let service = FakeService::failing(move |request| {
        *counted.lock().unwrap() += 1;
        Err(TransportError::Timeout { url: request.url.path().to_owned(), limit: std::time::Duration::from_secs(30) })
    });
    let (bench, thread) = with_service(service).await;
    on(|handlers| {
        handlers.note_created = Some(handler(|cx: Context<Lab>, _| async move {
            cx.provider().post("/notes").send().await?;
            Ok(WriteBack::accepted())
        }));
    });
    let note = bench.writes(thread, "Hello").await;
    bench.advance("3h").await;
    assert_eq!(*asked.lock().unwrap(), 1, "it is not sent twice");
    assert_eq!(bench.note(note.id).await.note.delivery, Some(Delivery::Unknown));
    bench.save_notes([echo("n1", Content::text("Hello"))]).await;
    let notes = all_notes(&bench).await;
    assert_eq!((notes.len(), notes[0].delivery.clone()), (1, Some(Delivery::Delivered)));
}

/// R9: by the acting user's own connection, and by none if they have none.
#[tokio::test]
async fn a_change_goes_through_the_acting_users_own_connection() {
    let (bench, thread) = bench().await;
    let bob = bench.runtime().connect(lab_for("bob")).await.unwrap().id;
    bench.runtime().enable_channel(bob, &"one".into(), ChannelUpdate::default()).await.unwrap();
    bench.host.settle().await;
    let saved = bench
        .queue_on(bob, |cx| async move { cx.integrations().save_link(ticket(1).notes([note(1, "body", "b")])).await })
        .await;
    bench.host.settle().await;
    drop(saved);
    on(|handlers| {
        handlers.note_created = Some(handler(|cx: Context<Lab>, (note, thread): (Note, Thread)| async move {
            log(format!("{} sends {} for {:?} of {}", cx.owner(), note.content, note.written_by, thread.links.len()));
            Ok(WriteBack::delivered(format!("k{}", note.id)))
        }));
        handlers.link_updated = Some(handler(|cx: Context<Lab>, (link, _): (Link, LinkChanges)| async move {
            log(format!("{} updates {}", cx.owner(), link.title.unwrap_or_default()));
            Ok(())
        }));
        handlers.read = Some(handler(|cx: Context<Lab>, _| async move {
            log(format!("{} reads", cx.owner()));
            Ok(())
        }));
        handlers.reaction = Some(handler(|cx: Context<Lab>, (note, emoji, added): (Note, Emoji, bool)| async move {
            log(format!("{} {emoji} {added} {:?}", cx.owner(), note.key));
            Ok(())
        }));
    });
    logged();
    let writes = async |user: &str| {
        let note = NewUserNote {
            user: user.into(),
            content: "hi".into(),
            link: None,
            recipients: vec![],
            attachments: Vec::new(),
        };
        let written = bench.runtime().create_note(thread, note).await;
        bench.host.settle().await;
        written
    };
    writes("bob").await.unwrap();
    assert_eq!(logged(), [r#"bob sends hi for Some(UserId("bob")) of 1"#]);
    writes("ada").await.unwrap();
    assert_eq!(logged(), [r#"ada sends hi for Some(UserId("ada")) of 1"#]);
    let refused = writes("eve").await.unwrap_err();
    assert!(matches!(&refused, ActionError::NotFound(reason) if reason.contains("eve sees no thread")), "{refused}");

    // Whichever link is named, it is changed by the user's own connection to it.
    let links = bench.links().await;
    let update = |title: &str| LinkUpdate { title: Some(title.to_owned()), ..LinkUpdate::default() };
    bench.runtime().update_link(links[0].id(), &"bob".into(), update("B")).await.unwrap();
    bench.host.settle().await;
    assert_eq!(logged(), ["bob updates B"]);
    let refused = bench.runtime().update_link(links[0].id(), &"eve".into(), update("E")).await.unwrap_err();
    assert!(matches!(&refused, ActionError::NotFound(reason) if reason.contains("eve sees no link")), "{refused}");
    bench.host.settle().await;
    assert_eq!(logged(), [""; 0]);
    bench.runtime().set_read(thread, &"bob".into(), false).await.unwrap();
    bench.host.settle().await;
    assert_eq!(logged(), ["bob reads"]);
    let body = bench.notes(links[1].id()).await.remove(0).note.id;
    bench.runtime().react(body, &"bob".into(), Emoji::unicode("👍"), true).await.unwrap();
    bench.runtime().react(body, &"bob".into(), Emoji::unicode("👍"), true).await.unwrap();
    bench.runtime().react(body, &"bob".into(), Emoji::unicode("👍"), false).await.unwrap();
    bench.host.settle().await;
    assert_eq!(logged(), [r#"bob 👍 true Some(NoteKey("body"))"#, r#"bob 👍 false Some(NoteKey("body"))"#]);
    assert!(bench.runtime().react(body, &"bob".into(), Emoji::custom("party"), true).await.is_err(), "R1.9");

    // The forms of an emoji are one reaction (UTS 51), and what is no emoji is none.
    for form in ["\u{2764}\u{fe0f}", "\u{2764}"] {
        bench.runtime().react(body, &"bob".into(), Emoji::Unicode(form.to_owned()), true).await.unwrap();
    }
    bench.host.settle().await;
    assert_eq!(logged(), [r#"bob ❤️ true Some(NoteKey("body"))"#]);
    let refused = bench.runtime().react(body, &"bob".into(), Emoji::unicode("notanemoji"), true).await.unwrap_err();
    assert!(refused.to_string().contains("`notanemoji` is no emoji"), "{refused}");
}

/// R3.4, R9: a channel that is only looked at is not written to.
#[tokio::test]
async fn an_observed_channel_is_not_written_to() {
    let bench = Bench::new().await;
    bench
        .runtime()
        .enable_channel(bench.connection, &"one".into(), ChannelUpdate { observe_only: true })
        .await
        .unwrap();
    bench.host.settle().await;
    bench.save([ticket(1)]).await;
    answers(WriteBack::delivered("n1"));
    logged();
    let link = bench.links().await.remove(0);
    let note = bench.writes(link.link.thread, "hi").await;
    assert_eq!(note.delivery, None);
    bench.host.settle().await;
    assert_eq!(logged(), [""; 0]);
    assert!(compose(&bench, "x").await.is_err());
}

/// R9.1, L24: only what was changed is handed over, typed.
#[tokio::test]
async fn only_the_changes_of_a_link_are_handed_over() {
    let (bench, _) = bench().await;
    on(|handlers| {
        handlers.link_updated = Some(handler(|_, (link, changes): (Link, LinkChanges)| async move {
            let wrong = changes.status::<Memo>().unwrap_err();
            assert!(wrong.message().contains("one of a `ticket`, not of a `memo`"), "{wrong}");
            let closed = changes.status::<Ticket>()?.is_some_and(|status| matches!(status, Ticket::Closed));
            log(format!(
                "{} {:?} {closed} {:?}",
                link.meta::<Ticket>()?.number,
                changes.title,
                changes.assignee.as_option()
            ));
            Ok(())
        }));
    });
    logged();
    let id = bench.links().await[0].id();
    let change = async |update: LinkUpdate| {
        let link = bench.runtime().update_link(id, &"ada".into(), update).await;
        bench.host.settle().await;
        link
    };
    change(LinkUpdate { status: Some("closed".into()), title: Some("Ticket 1".into()), ..LinkUpdate::default() })
        .await
        .unwrap();
    assert_eq!(logged(), ["1 None true None"]);
    change(LinkUpdate { status: Some("closed".into()), ..LinkUpdate::default() }).await.unwrap();
    assert_eq!(logged(), [""; 0], "no change");
    change(LinkUpdate { assignee: Patch::Set(grace()), ..LinkUpdate::default() }).await.unwrap();
    change(LinkUpdate { assignee: Patch::Clear, title: Some("T".into()), ..LinkUpdate::default() }).await.unwrap();
    let lines = logged();
    assert!(
        lines[0].starts_with("1 None false Some(Some(") && lines[1] == "1 Some(\"T\") false Some(None)",
        "{lines:?}"
    );
    let error = change(LinkUpdate { status: Some("nope".into()), ..LinkUpdate::default() }).await.unwrap_err();
    assert!(matches!(&error, ActionError::Invalid(message) if message.contains("open, closed")), "{error}");
    let link = bench.links().await.remove(0).link;
    assert_eq!((link.status, link.title.as_deref(), link.assignee), (Some("closed".into()), Some("T"), None));
    // No echo: what the connector saved is not written back.
    bench.save([ticket(1).title("From the service")]).await;
    assert_eq!(logged(), [""; 0]);
}

/// R9.4: a change of a link that did not arrive shows, and the next that does clears it.
#[tokio::test]
async fn a_change_of_a_link_that_fails_shows_on_it() {
    let (bench, _) = bench().await;
    let id = bench.links().await[0].id();
    let change = async |title: &str| {
        let update = LinkUpdate { title: Some(title.to_owned()), ..LinkUpdate::default() };
        bench.runtime().update_link(id, &"ada".into(), update).await.unwrap();
        bench.host.settle().await;
        bench.links().await.remove(0).link.delivery
    };
    on(|handlers| handlers.link_updated = Some(handler(|_, _| async { Err(Error::rejected("locked")) })));
    assert_eq!(change("A").await, Some(Delivery::Failed { reason: "locked".into() }));
    on(|handlers| {
        handlers.link_updated = Some(handler(|cx: Context<Lab>, _| async move {
            if cx.attempt() < 3 { Err(Error::transient("502")) } else { Ok(()) }
        }));
    });
    assert_eq!(change("B").await, Some(Delivery::Pending));
    bench.advance("1m").await;
    assert!(!matches!(bench.links().await[0].link.delivery, Some(Delivery::Pending | Delivery::Failed { .. })));
}

/// R1.11, R9.1
#[tokio::test]
async fn a_connector_without_the_hook_is_read_only() {
    let host = TestHost::with_network(Registry::of::<Plain>().unwrap(), quiet());
    let mut request = ConnectRequest::new("plain", "ada");
    request.options = json!({"api_key": "k"}).as_object().cloned().unwrap();
    on(|handlers| {
        handlers.feed = Some(handler(|cx: Context<Plain>, _| async move {
            let link = NewLink::new(Memo::Draft, source(1), ChannelId::from("memos"), grace(), at(0)).title("M");
            cx.integrations().save_link(link).await?;
            Ok(Step::Done(0))
        }));
    });
    host.runtime().connect(request).await.unwrap();
    host.settle().await;
    let link = host.runtime().ports().engine.links(connector_core::engine::LinkQuery::all(9)).await.unwrap().remove(0);
    let update = LinkUpdate { status: Some("final".into()), ..LinkUpdate::default() };
    let error = host.runtime().update_link(link.id(), &"ada".into(), update).await.unwrap_err();
    assert!(matches!(error, ActionError::Conflict(_)), "{error}");
    // A note stays here.
    let note = NewUserNote {
        user: "ada".into(),
        content: "hi".into(),
        link: None,
        recipients: vec![],
        attachments: Vec::new(),
    };
    let note = host.runtime().create_note(link.link.thread, note).await.unwrap();
    assert_eq!(note.delivery, None);
}

async fn compose(bench: &Bench, title: &str) -> Result<Link, ActionError> {
    let compose = Compose {
        content: Some("The **body**".into()),
        recipients: vec![
            Recipient { actor: grace(), role: "to".into() },
            Recipient { actor: ada(), role: "cc".into() },
        ],
        ..bench.composition(title)
    };
    bench.runtime().compose(compose).await
}

/// The item that the service makes of what is composed, with its body.
fn composed(number: u64) -> NewLink {
    NewLink::new(Ticket::Open.with(TicketMeta { number }), source(number), ChannelId::from("one"), ada(), at(1))
        .title("Composed")
        .notes([NewNote::new(source(number), "body", ada(), at(1), Content::markdown("The **body**"))])
}

async fn ticket_notes(bench: &Bench, id: LinkId) -> Vec<(Option<String>, String)> {
    let notes = bench.notes(id).await;
    notes.into_iter().map(|row| (row.note.key.map(|key| key.as_str().to_owned()), row.note.content)).collect()
}

/// R9.1, R9.3, R9.5
#[tokio::test]
async fn what_is_composed_becomes_the_services_item() {
    let bench = Bench::enabled().await;
    on(|handlers| {
        handlers.create_link = Some(handler(|_, draft: LinkDraft| async move {
            let to: Vec<_> = draft.recipients.iter().map(|to| format!("{} {}", to.role, to.actor.id)).collect();
            log(format!(
                "{} {:?} {:?} {to:?}",
                draft.title,
                draft.content,
                draft.raw_status.as_ref().map(StatusId::as_str)
            ));
            Ok(Some(composed(7)))
        }));
    });
    let draft = compose(&bench, "Composed").await.unwrap();
    assert_eq!(draft.delivery, Some(Delivery::Pending));
    bench.host.settle().await;
    assert_eq!(logged(), [r#"Composed Some("The **body**") Some("open") ["to gh-grace"]"#]);
    let link = bench.links().await.remove(0).link;
    assert_eq!((link.id, link.thread, link.source.clone()), (draft.id, draft.thread, source(7)));
    assert_eq!(
        (link.delivery.as_ref(), link.meta::<Ticket>().unwrap()),
        (Some(&Delivery::Delivered), TicketMeta { number: 7 })
    );
    for _ in 0..2 {
        assert_eq!(bench.links().await.len(), 1);
        assert_eq!(ticket_notes(&bench, link.id).await, [(Some("body".to_owned()), "The **body**".to_owned())]);
        // Late echoes.
        bench.save([composed(7)]).await;
    }
    assert!(!bench.marks(link.thread, "ada").await.0);
}

/// R9.3, L19: a sync that brings the item before the connector has said that it made it.
#[tokio::test]
async fn a_sync_that_overtakes_the_composing_makes_no_second_item() {
    let bench = Bench::enabled().await;
    on(|handlers| {
        handlers.create_link = Some(handler(|cx: Context<Lab>, _| async move {
            if cx.attempt() == 1 { Err(Error::transient("502")) } else { Ok(Some(composed(7))) }
        }));
    });
    let draft = compose(&bench, "Composed").await.unwrap();
    bench.host.settle().await;
    bench.save([composed(7), ticket(8)]).await;
    bench.writes(draft.thread, "A second note").await;
    bench.advance("1m").await;
    let links = bench.links().await;
    assert_eq!(links.len(), 2, "{links:?}");
    let link = bench.link(&source(7)).await.unwrap().link;
    assert_eq!(bench.runtime().ports().engine.current_thread(draft.thread).await.unwrap(), link.thread);
    let notes = ticket_notes(&bench, link.id).await;
    assert_eq!(notes.iter().filter(|(_, content)| content == "The **body**").count(), 1, "{notes:?}");
    assert_eq!(notes.len(), 2, "{notes:?}");
    bench.save([composed(7)]).await;
    assert_eq!(ticket_notes(&bench, link.id).await.len(), 2);
}

/// R9.4
#[tokio::test]
async fn composing_that_fails_shows_why() {
    let bench = Bench::enabled().await;
    on(|handlers| handlers.create_link = Some(handler(|_, _| async { Err(Error::rejected("no such label")) })));
    let draft = compose(&bench, "Composed").await.unwrap();
    bench.host.settle().await;
    let link = bench.links().await.remove(0).link;
    assert_eq!((link.id, link.delivery), (draft.id, Some(Delivery::Failed { reason: "no such label".into() })));
    assert!(bench.dead().await.is_empty());
}

/// R9.1: what cannot be composed is refused, and nothing is stored.
#[tokio::test]
async fn composing_what_is_wrong_is_refused() {
    let bench = Bench::enabled().await;
    assert!(compose(&bench, "  ").await.is_err());
    let wrong = async |change: &dyn Fn(&mut Compose)| {
        let mut compose = bench.composition("T");
        change(&mut compose);
        bench.runtime().compose(compose).await.unwrap_err().to_string()
    };
    assert!(wrong(&|compose| compose.user = "bob".into()).await.contains("bob"));
    assert!(wrong(&|compose| compose.link_type = "memo".into()).await.contains("composes ticket"));
    assert!(wrong(&|compose| compose.channel = None).await.contains("channel"));
    assert!(wrong(&|compose| compose.channel = Some("two".into())).await.contains("not enabled"));
    assert!(wrong(&|compose| compose.channel = Some("nine".into())).await.contains("nine"));
    assert!(wrong(&|compose| compose.status = Some("nope".into())).await.contains("nope"));
    assert!(bench.links().await.is_empty());
}

/// R9.2: an edit of the user's is not lost to what the service still had, nor to what was under way.
#[tokio::test]
async fn an_edit_outlives_a_sync_and_a_write_back_under_way() {
    let (bench, thread) = bench().await;
    answers(WriteBack::delivered("n1"));
    let note = bench.writes(thread, "A").await;
    bench.host.settle().await;
    let runtime = bench.runtime().clone();
    on(|handlers| {
        handlers.note_updated = Some(handler(move |_, (note, _): (Note, Thread)| {
            let runtime = runtime.clone();
            async move {
                log(format!("update {}", note.content));
                if note.content == "B" {
                    // While B is sent, the user goes on.
                    runtime.edit_note(note.id, &"ada".into(), "C".into()).await.unwrap();
                }
                Ok(WriteBack::accepted())
            }
        }));
    });
    logged();
    bench.runtime().edit_note(note.id, &"ada".into(), "B".into()).await.unwrap();
    // The service has A still.
    bench.save_notes([echo("n1", Content::text("A"))]).await;
    let lines = logged();
    assert_eq!(lines, ["update B", "update C"]);
    assert_eq!(bench.note(note.id).await.note.content, "C");
    bench.save_notes([echo("n1", Content::text("C"))]).await;
    let row = bench.note(note.id).await.note;
    assert_eq!((row.content.as_str(), row.delivery), ("C", Some(Delivery::Delivered)));
    assert!(bench.runtime().edit_note(note.id, &"bob".into(), "D".into()).await.is_err());
    assert!(bench.runtime().edit_note(note.id, &"ada".into(), " ".into()).await.is_err());
}

/// R9.1
#[tokio::test]
async fn to_dos_and_people_are_handed_over() {
    let (bench, thread) = bench().await;
    bench.save([ticket(1).contacts([Contact::new(grace())])]).await;
    on(|handlers| {
        handlers.to_do = Some(handler(|_, (_, todo, date): (Thread, bool, Option<Date>)| async move {
            log(format!("{todo} {date:?}"));
            Ok(())
        }));
        handlers.contacts_changed = Some(handler(|_, (thread, changes): (Thread, ContactChanges)| async move {
            log(format!(
                "{} +{} -{} ~{}",
                thread.links[0].contacts.len(),
                changes.added.len(),
                changes.removed.len(),
                changes.changed.len()
            ));
            Ok(())
        }));
    });
    logged();
    let day = Some(jiff::civil::date(2026, 2, 3));
    bench.runtime().set_to_do(thread, &"ada".into(), true, day).await.unwrap();
    bench.runtime().set_to_do(thread, &"ada".into(), true, day).await.unwrap();
    bench.runtime().set_to_do(thread, &"ada".into(), false, day).await.unwrap();
    bench.host.settle().await;
    assert_eq!(logged(), ["true Some(2026-02-03)", "false None"]);
    let changes = ContactChanges {
        added: vec![Contact::new(Actor::new("gh-eve")).role("cc")],
        removed: vec![],
        changed: vec![Contact::new(grace()).role("cc")],
    };
    bench.runtime().change_contacts(thread, &"ada".into(), changes).await.unwrap();
    bench.host.settle().await;
    assert_eq!(logged(), ["2 +1 -0 ~1"]);
}

/// R9.4, R3.6: what a user did in a channel that is disabled before it was sent says so, and is not lost.
#[tokio::test]
async fn what_waits_in_a_disabled_channel_is_shown_as_not_sent() {
    let (bench, thread) = bench().await;
    on(|handlers| {
        handlers.note_created = Some(handler(|_, _| async { Err(Error::transient("502")) }));
        handlers.note_updated = Some(handler(|_, _| async { Err(Error::transient("502")) }));
        handlers.link_updated = Some(handler(|_, _| async { Err(Error::transient("502")) }));
        handlers.create_link = Some(handler(|_, _| async { Err(Error::transient("502")) }));
    });
    bench.save_notes([echo("theirs", Content::text("Mine, from before"))]).await;
    let edited = all_notes(&bench).await.remove(0).id;
    bench.runtime().edit_note(edited, &"ada".into(), "Mine, edited".into()).await.unwrap();
    let note = bench.writes(thread, "Hello").await;
    let other = bench.writes(thread, "Other").await;
    let link = bench.links().await.remove(0).id();
    let update = LinkUpdate { title: Some("Renamed".into()), ..LinkUpdate::default() };
    bench.runtime().update_link(link, &"ada".into(), update).await.unwrap();
    let draft = compose(&bench, "Composed").await.unwrap();
    bench.host.settle().await;
    let position = bench.runtime().ports().engine.feed_end().await.unwrap();
    let row: ChannelRow = bench.runtime().disable_channel(bench.connection, &"one".into()).await.unwrap();
    assert!(!row.enabled);
    let unsent = Some(Delivery::Failed { reason: "the channel was disabled before it was sent".into() });
    for id in [edited, note.id, other.id] {
        assert_eq!(bench.note(id).await.note.delivery, unsent);
    }
    for row in bench.links().await {
        assert_eq!((row.link.delivery.as_ref(), row.link.archived), (unsent.as_ref(), true), "{row:?}");
    }
    let told: Vec<_> = bench.runtime().ports().engine.feed(position, 99).await.unwrap();
    for id in [note.id.to_string(), draft.id.to_string()] {
        assert!(told.iter().any(|entry| entry.id == id), "{told:?}");
    }
    bench.advance("1h").await;
    assert!(bench.tasks_of("on_").await.is_empty());
    // The user decides what becomes of it.
    bench.runtime().discard_note(other.id, &"ada".into()).await.unwrap();
    answers(WriteBack::delivered("n1"));
    bench.runtime().retry_note(note.id, &"ada".into()).await.unwrap();
    bench.host.settle().await;
    assert_eq!(bench.note(note.id).await.note.delivery, Some(Delivery::Delivered));
}

/// R9.4, R3.6: what has no place to say so is a dead letter, which can be sent yet.
#[tokio::test]
async fn marks_and_reactions_that_wait_in_a_disabled_channel_are_dead_letters() {
    let (bench, thread) = bench().await;
    bench.save_notes([note(1, "theirs", "Hello")]).await;
    let theirs = all_notes(&bench).await.remove(0).id;
    on(|handlers| {
        handlers.read = Some(handler(|_, _| async { Err(Error::transient("502")) }));
        handlers.to_do = Some(handler(|_, _| async { Err(Error::transient("502")) }));
        handlers.reaction = Some(handler(|_, _| async { Err(Error::transient("502")) }));
    });
    bench.runtime().set_read(thread, &"ada".into(), false).await.unwrap();
    bench.runtime().set_to_do(thread, &"ada".into(), true, None).await.unwrap();
    let emoji = Emoji::unicode("👍");
    bench.runtime().react(theirs, &"ada".into(), emoji, true).await.unwrap();
    bench.host.settle().await;
    bench.runtime().disable_channel(bench.connection, &"one".into()).await.unwrap();
    assert!(bench.tasks_of("on_").await.is_empty());
    let letters = bench.dead().await;
    let mut what: Vec<_> = letters.iter().map(|letter| letter.does.as_str()).collect();
    what.sort_unstable();
    assert_eq!(what, ["on_note_reaction_changed", "on_thread_read", "on_thread_to_do"]);
    for letter in letters {
        let last = letter.errors.last().unwrap();
        assert_eq!(last.message, "the channel was disabled before it was sent");
        bench.runtime().retry_task(letter.id).await.unwrap();
    }
    on(|handlers| {
        let says = |what: &'static str| async move {
            log(what);
            Ok(())
        };
        handlers.read = Some(handler(move |_, _| says("read")));
        handlers.to_do = Some(handler(move |_, _| says("to-do")));
        handlers.reaction = Some(handler(move |_, _| says("reaction")));
    });
    logged();
    bench.host.settle().await;
    let mut sent = logged();
    sent.sort();
    assert_eq!(sent, ["reaction", "read", "to-do"]);
    assert!(bench.dead().await.is_empty());
}

/// R9.4, R3.6: a note that is written in the very moment its channel is disabled is not forgotten.
#[tokio::test]
async fn what_is_written_while_its_channel_is_disabled_is_shown_as_not_sent() {
    let (bench, thread) = bench().await;
    let runtime = bench.runtime().clone();
    let written = Arc::new(Mutex::new(None));
    let late = Arc::clone(&written);
    bench.host.engine().fail_commits(move |set| {
        let disables = set.writes.iter().any(|write| matches!(write, Write::PutChannel { row, .. } if !row.enabled));
        if disables && late.lock().unwrap().is_none() {
            let note = NewUserNote {
                user: "ada".into(),
                content: "Late".into(),
                link: None,
                recipients: Vec::new(),
                attachments: Vec::new(),
            };
            *late.lock().unwrap() = Some(runtime.create_note(thread, note).now_or_never().unwrap().unwrap().id);
        }
        None
    });
    bench.runtime().disable_channel(bench.connection, &"one".into()).await.unwrap();
    bench.host.engine().stop_failing();
    let late = written.lock().unwrap().unwrap();
    let unsent = Some(Delivery::Failed { reason: "the channel was disabled before it was sent".into() });
    assert_eq!(bench.note(late).await.note.delivery, unsent);
    assert!(bench.tasks_of("on_").await.is_empty());
}

/// R9.4, R3.6: what is being sent while its channel is disabled may arrive, and nobody hears of it.
#[tokio::test]
async fn what_is_sent_while_its_channel_is_disabled_is_unknown() {
    let (bench, thread) = bench().await;
    let (runtime, connection) = (bench.runtime().clone(), bench.connection);
    on(|handlers| {
        handlers.note_created = Some(handler(move |cx: Context<Lab>, _| {
            let runtime = runtime.clone();
            async move {
                cx.provider().post("/notes").send().await?;
                runtime.disable_channel(connection, &"one".into()).await?;
                Ok(WriteBack::delivered("n1"))
            }
        }));
    });
    let note = bench.writes(thread, "Hello").await;
    bench.advance("1h").await;
    assert_eq!(bench.note(note.id).await.note.delivery, Some(Delivery::Unknown));
}

/// R9.3, R9.4, L19, L20: the process is killed while it sends a composed item, and a sync brings the item.
#[tokio::test]
async fn a_composed_item_that_a_crash_left_unknown_is_the_one_that_a_sync_brings() {
    let bench = Bench::enabled().await;
    on(|handlers| {
        handlers.create_link = Some(handler(|cx: Context<Lab>, _| async move {
            log("sent");
            cx.provider().post("/items").send().await?;
            Ok(Some(composed(7)))
        }));
    });
    let draft = compose(&bench, "Composed").await.unwrap();
    let since = draft.occurred_at;
    bench.host.engine().fail_commits(|set| set.completes.is_some().then_some(Fault::CrashBefore));
    bench.host.settle().await;
    assert_eq!(logged(), ["sent"]);
    let bench = bench.crash().await;
    on(|handlers| {
        handlers.items = Some(handler(move |cx: Context<Lab>, (_, cursor): (ChannelId, Option<u64>)| async move {
            let item = |number: u64, author: Actor, channel: &str, at: Timestamp| {
                NewLink::new(
                    Ticket::Open.with(TicketMeta { number }),
                    source(number),
                    ChannelId::from(channel),
                    author,
                    at,
                )
                .title("Composed")
                .notes([NewNote::new(
                    source(number),
                    "body",
                    ada(),
                    at,
                    Content::markdown("The **body**"),
                )])
            };
            let old = since.checked_sub(SignedDuration::from_hours(1)).unwrap();
            let others = [
                item(1, grace(), "one", since),
                item(2, ada(), "two", since),
                item(3, ada(), "one", old),
                item(4, ada(), "one", since).title("Another title"),
            ];
            cx.integrations().save_links(others).await?;
            // Whole seconds, as services have them.
            cx.integrations().save_link(item(7, ada(), "one", since.round(jiff::Unit::Second).unwrap())).await?;
            // A second one with that title is another.
            cx.integrations().save_link(item(8, ada(), "one", since)).await?;
            Ok(Step::Done(cursor.unwrap_or(0)))
        }));
    });
    bench.host.settle().await;
    assert_eq!(logged(), [""; 0], "it is not sent again");
    let links = bench.links().await;
    assert_eq!(links.len(), 6, "{links:?}");
    let link = bench.link(&source(7)).await.unwrap().link;
    assert_eq!((link.id, link.thread, link.delivery.clone()), (draft.id, draft.thread, Some(Delivery::Delivered)));
    assert_eq!(link.meta::<Ticket>().unwrap(), TicketMeta { number: 7 });
    assert_eq!(ticket_notes(&bench, link.id).await, [(Some("body".to_owned()), "The **body**".to_owned())]);
    // Nothing is left of the search for it.
    let state = bench.runtime().ports().engine.state_entries(bench.connection, "h/draft".into(), 9).await.unwrap();
    assert!(state.is_empty());
    bench.advance("1h").await;
    assert_eq!(bench.links().await.len(), 6);
}

/// R9.3: an attempt that seemed to fail may have arrived: what a sync brings then is not sent again.
#[tokio::test]
async fn a_composed_item_that_a_sync_brings_between_two_attempts_is_not_sent_again() {
    let bench = Bench::enabled().await;
    on(|handlers| {
        handlers.create_link = Some(handler(|_, _| async {
            log("sent");
            Err(Error::transient("502"))
        }));
    });
    let draft = compose(&bench, "Composed").await.unwrap();
    let item = || {
        NewLink::new(
            Ticket::Open.with(TicketMeta { number: 7 }),
            source(7),
            ChannelId::from("one"),
            ada(),
            draft.occurred_at,
        )
        .title("Composed")
    };
    bench.host.settle().await;
    bench.save([item()]).await;
    bench.advance("1h").await;
    assert_eq!(logged(), ["sent"]);
    let links = bench.links().await;
    assert_eq!(links.len(), 1, "{links:?}");
    assert_eq!((links[0].id(), links[0].link.delivery.clone()), (draft.id, Some(Delivery::Delivered)));
    assert!(bench.tasks_of("on_create").await.is_empty() && bench.dead().await.is_empty());
}

/// R9.3: a sync of another host that brings the item while it is sent, and an attempt that then fails.
#[tokio::test]
async fn a_composed_item_that_a_sync_brings_while_it_is_sent_is_not_sent_again() {
    let bench = Bench::enabled().await;
    let engine = Arc::clone(&bench.runtime().ports().engine);
    on(|handlers| {
        handlers.create_link = Some(handler(move |_, draft: LinkDraft| {
            let engine = Arc::clone(&engine);
            async move {
                log("sent");
                let mut query = connector_core::engine::LinkQuery::all(9);
                query.thread = Some(draft.thread);
                let mut row = engine.links(query).await?.remove(0);
                let expect = Some(row.version);
                (row.link.source, row.link.delivery) = (source(7), Some(Delivery::Delivered));
                let put = connector_core::engine::Write::PutLink { row: Box::new(row), expect };
                engine.commit(connector_core::engine::WriteSet::of([put])).await?;
                Err(Error::transient("502"))
            }
        }));
    });
    compose(&bench, "Composed").await.unwrap();
    bench.advance("1h").await;
    assert_eq!(logged(), ["sent"]);
    assert_eq!(bench.links().await[0].link.delivery, Some(Delivery::Delivered));
    assert!(bench.tasks_of("on_create").await.is_empty() && bench.dead().await.is_empty());
}

/// The delivery of the only link.
async fn delivery(bench: &Bench) -> Option<Delivery> {
    let links = bench.links().await;
    assert_eq!(links.len(), 1);
    links[0].link.delivery.clone()
}

fn failed(reason: &str) -> Option<Delivery> {
    Some(Delivery::Failed { reason: reason.to_owned() })
}

/// R9.4: a change of a link that failed is sent again as it was, however it failed.
#[tokio::test]
async fn a_failed_change_of_a_link_can_be_retried() {
    for (error, disables) in [(Some(ErrorKind::Rejected), false), (Some(ErrorKind::Transient), false), (None, true)] {
        let (bench, _) = bench().await;
        let kind = error.clone().unwrap_or(ErrorKind::Transient);
        on(|handlers| {
            handlers.link_updated = Some(handler(move |_, _| {
                let kind = kind.clone();
                async move { Err(Error::new(kind, "not now")) }
            }));
        });
        let link = bench.links().await.remove(0).id();
        let update = LinkUpdate { title: Some("Renamed".into()), ..LinkUpdate::default() };
        bench.runtime().update_link(link, &"ada".into(), update).await.unwrap();
        assert!(bench.runtime().retry_link(link, &"ada".into()).await.is_err(), "it is on its way");
        if disables {
            bench.runtime().disable_channel(bench.connection, &"one".into()).await.unwrap();
        } else {
            bench.advance("10h").await;
            assert_eq!(delivery(&bench).await, failed("not now"));
        }
        on(|handlers| {
            handlers.link_updated = Some(handler(|_, (_, changes): (Link, LinkChanges)| async move {
                log(format!("{:?}", changes.title));
                Ok(())
            }));
        });
        logged();
        let bench = bench.crash().await;
        bench.runtime().retry_link(link, &"ada".into()).await.unwrap();
        assert_eq!(delivery(&bench).await, Some(Delivery::Pending));
        bench.host.settle().await;
        assert_eq!(logged(), [r#"Some("Renamed")"#]);
        assert_eq!(delivery(&bench).await, Some(Delivery::Delivered));
        assert!(bench.runtime().retry_link(link, &"ada".into()).await.is_err(), "it has arrived");
        assert!(bench.runtime().discard_link(link, &"ada".into()).await.is_err(), "it is at the service");
    }
}

/// R9.1, R9.4: what a user composed and the service refused is sent again whole, or discarded with all of it.
#[tokio::test]
async fn a_failed_draft_can_be_retried_or_discarded() {
    let bench = Bench::enabled().await;
    on(|handlers| handlers.create_link = Some(handler(|_, _| async { Err(Error::rejected("the title is taken")) })));
    let draft = compose(&bench, "Composed").await.unwrap();
    bench.host.settle().await;
    assert_eq!(delivery(&bench).await, failed("the title is taken"));
    on(|handlers| {
        handlers.create_link = Some(handler(|_, draft: LinkDraft| async move {
            let to: Vec<_> = draft.recipients.iter().map(|to| format!("{} {}", to.role, to.actor.id)).collect();
            log(format!("{} {:?} {:?} {to:?}", draft.title, draft.content, draft.channel.map(|id| id.to_string())));
            Ok(Some(composed(7)))
        }));
    });
    assert!(bench.runtime().retry_link(draft.id, &"bob".into()).await.is_err());
    bench.runtime().retry_link(draft.id, &"ada".into()).await.unwrap();
    bench.host.settle().await;
    assert_eq!(logged(), [r#"Composed Some("The **body**") Some("one") ["to gh-grace"]"#]);
    assert_eq!(delivery(&bench).await, Some(Delivery::Delivered));
    // Discarded, it is gone, whether it has failed or waits; and no dead letter of it makes it after all.
    on(|handlers| {
        handlers.create_link = Some(handler(|_, _| async {
            log("created");
            Err(Error::transient("502"))
        }));
    });
    let second = compose(&bench, "Second").await.unwrap();
    let third = compose(&bench, "Third").await.unwrap();
    assert!(bench.runtime().discard_link(third.id, &"bob".into()).await.is_err());
    bench.runtime().discard_link(third.id, &"ada".into()).await.unwrap();
    bench.advance("12h").await;
    assert_eq!(logged().len(), 12);
    bench.runtime().discard_link(second.id, &"ada".into()).await.unwrap();
    assert_eq!(bench.links().await.len(), 1);
    bench.runtime().retry_task(bench.dead().await.remove(0).id).await.unwrap();
    bench.host.settle().await;
    assert_eq!(logged(), [""; 0]);
    assert!(bench.tasks_of("on_create_link").await.is_empty() && bench.dead().await.is_empty());
}

/// R9.4, R6.6: whatever a user did to an item and the service refused shows on it.
#[tokio::test]
async fn what_was_refused_shows_on_its_link() {
    let (bench, thread) = bench().await;
    on(|handlers| {
        handlers.contacts_changed = Some(handler(|_, _| async { Err(Error::rejected("not a member")) }));
        handlers.reaction = Some(handler(|_, _| async { Err(Error::rejected("no reactions here")) }));
        handlers.read = Some(handler(|_, _| async { Err(Error::rejected("no")) }));
    });
    let mut changes = ContactChanges::default();
    changes.added.push(Contact::new(Actor::new("gh-linus")));
    bench.runtime().change_contacts(thread, &"ada".into(), changes.clone()).await.unwrap();
    assert_eq!(delivery(&bench).await, Some(Delivery::Pending));
    bench.host.settle().await;
    assert_eq!(delivery(&bench).await, failed("not a member"));
    on(|handlers| handlers.contacts_changed = None);
    bench.runtime().change_contacts(thread, &"ada".into(), changes.clone()).await.unwrap();
    bench.host.settle().await;
    assert_eq!(delivery(&bench).await, Some(Delivery::Delivered));
    bench.save_notes([note(1, "theirs", "Hello")]).await;
    let theirs = all_notes(&bench).await.remove(0).id;
    bench.runtime().react(theirs, &"ada".into(), Emoji::unicode("👍"), true).await.unwrap();
    bench.host.settle().await;
    assert_eq!(delivery(&bench).await, failed("no reactions here"));
    // What shows nowhere is for the operator to see.
    bench.runtime().set_read(thread, &"ada".into(), false).await.unwrap();
    bench.host.settle().await;
    assert_eq!(bench.dead().await.len(), 1);
    // What waits in a channel that is disabled is not lost without a word.
    on(|handlers| handlers.contacts_changed = Some(handler(|_, _| async { Err(Error::transient("502")) })));
    bench.runtime().change_contacts(thread, &"ada".into(), changes).await.unwrap();
    bench.host.settle().await;
    bench.runtime().disable_channel(bench.connection, &"one".into()).await.unwrap();
    assert_eq!(delivery(&bench).await, failed("the channel was disabled before it was sent"));
}

/// R4.6: a button runs its callback as the user who pressed it, and what came of it shows on the link.
#[tokio::test]
async fn a_button_runs_its_callback() {
    let (bench, _) = bench().await;
    let token = bench.run(|cx| async move { cx.callback(Pressed { id: 4 }).await }).await;
    let gone = bench.run(|cx| async move { cx.callback(Pressed { id: 5 }).await }).await;
    let buttons = [
        ActionButton::open("Open", "https://example.com"),
        ActionButton::run("Approve", &token),
        ActionButton::run("Gone", &gone),
    ];
    bench.save([ticket(1).actions(buttons.clone())]).await;
    bench
        .run(move |cx| {
            let gone = gone.clone();
            async move { cx.delete_callback(&gone).await }
        })
        .await;
    let link = bench.links().await.remove(0).id();
    bench.runtime().press(link, 1, &"ada".into()).await.unwrap();
    assert_eq!(delivery(&bench).await, Some(Delivery::Pending));
    let bench = bench.crash().await;
    bench.host.settle().await;
    assert_eq!(bench.value("pressed").await, json!([4, "Approve"]));
    assert_eq!(delivery(&bench).await, Some(Delivery::Delivered));
    bench.save_notes([note(1, "n", "text").actions(buttons)]).await;
    let on_note = all_notes(&bench).await.remove(0).id;
    bench.runtime().press_on_note(on_note, 1, &"ada".into()).await.unwrap();
    bench.host.settle().await;
    // A callback that was deleted is an error that its user sees.
    bench.runtime().press(link, 2, &"ada".into()).await.unwrap();
    bench.host.settle().await;
    assert_eq!(delivery(&bench).await, failed("the callback was deleted"));
    for (index, user) in [(0, "ada"), (3, "ada"), (1, "bob")] {
        assert!(bench.runtime().press(link, index, &user.into()).await.is_err(), "{index} {user}");
    }
}
