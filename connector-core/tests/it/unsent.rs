//! Changes of links that did not reach the service, and compositions that nobody took (R9.8).

use connector_core::id::LinkId;
use connector_core::model::{Contact, ContactChanges, Delivery};
use connector_core::prelude::*;
use connector_core::runtime::{ActionError, ChannelUpdate, Compose, LinkUpdate, NewUserNote};

use crate::fixture::{Bench, Lab, ada, handler, log, logged, on, source, ticket};

fn refuses_changes() {
    on(|handlers| {
        handlers.link_updated = Some(handler(|_: Context<Lab>, _| async { Err(Error::rejected("it is locked")) }));
    });
}

fn takes_changes() {
    on(|handlers| {
        handlers.link_updated = Some(handler(|_: Context<Lab>, (_, changes): (Link, LinkChanges)| async move {
            log(format!("{:?} {:?}", changes.title, changes.raw_status));
            Ok(())
        }));
    });
}

fn titled(title: &str) -> LinkUpdate {
    LinkUpdate { title: Some(title.to_owned()), ..LinkUpdate::default() }
}

fn failed() -> Option<Delivery> {
    Some(Delivery::Failed { reason: "it is locked".to_owned() })
}

async fn bench() -> (Bench, LinkId) {
    let bench = Bench::enabled().await;
    bench.save([ticket(1)]).await;
    let link = bench.link(&source(1)).await.unwrap().id();
    logged();
    (bench, link)
}

async fn shown(bench: &Bench) -> (Option<String>, Option<Delivery>) {
    let link = bench.link(&source(1)).await.unwrap().link;
    (link.title, link.delivery)
}

async fn update(bench: &Bench, link: LinkId, update: LinkUpdate) {
    bench.runtime().update_link(link, &"ada".into(), update).await.unwrap();
    bench.host.settle().await;
}

/// R9.8: a refused change is taken back; the link is as it was, and nothing is left to send.
#[tokio::test]
async fn a_refused_change_that_is_discarded_is_taken_back() {
    refuses_changes();
    let (bench, link) = bench().await;
    update(&bench, link, titled("Another")).await;
    assert_eq!(shown(&bench).await, (Some("Another".to_owned()), failed()));
    assert!(bench.runtime().discard_link(link, &"bob".into()).await.is_err());
    bench.runtime().discard_link(link, &"ada".into()).await.unwrap();
    assert_eq!(shown(&bench).await, (Some("Ticket 1".to_owned()), None));
    takes_changes();
    assert!(bench.runtime().retry_link(link, &"ada".into()).await.is_err(), "there is nothing to send");
    assert!(bench.runtime().discard_link(link, &"ada".into()).await.is_err(), "nor to discard");
    assert_eq!(logged(), [""; 0]);
}

/// R9.8: changes of several kinds fail and are all sent again, in the order in which the user made them.
#[tokio::test]
async fn all_refused_changes_of_a_link_are_sent_again() {
    refuses_changes();
    on(|handlers| {
        handlers.contacts_changed = Some(handler(|_: Context<Lab>, _| async { Err(Error::rejected("it is locked")) }));
    });
    let (bench, link) = bench().await;
    let thread = bench.link(&source(1)).await.unwrap().link.thread;
    update(&bench, link, titled("Another")).await;
    update(&bench, link, LinkUpdate { status: Some("closed".into()), ..LinkUpdate::default() }).await;
    update(&bench, link, titled("A third")).await;
    let changes = ContactChanges { added: vec![Contact::new(ada())], ..ContactChanges::default() };
    bench.runtime().change_contacts(thread, &"ada".into(), changes).await.unwrap();
    bench.host.settle().await;
    assert_eq!(shown(&bench).await, (Some("A third".to_owned()), failed()));
    takes_changes();
    on(|handlers| {
        handlers.contacts_changed =
            Some(handler(|_: Context<Lab>, (_, changes): (Thread, ContactChanges)| async move {
                log(format!("{} added", changes.added.len()));
                Ok(())
            }));
    });
    bench.runtime().retry_link(link, &"ada".into()).await.unwrap();
    bench.host.settle().await;
    assert_eq!(logged(), ["None Some(StatusId(\"closed\"))", "Some(\"A third\") None", "1 added"]);
    assert_eq!(shown(&bench).await, (Some("A third".to_owned()), Some(Delivery::Delivered)));
}

/// R9.8: what the service says in place of a refused change makes it void; what it does not say leaves it.
#[tokio::test]
async fn a_refused_change_is_void_when_the_service_says_how_it_is() {
    refuses_changes();
    let (bench, link) = bench().await;
    update(&bench, link, titled("Another")).await;
    bench.save([ticket(1)]).await;
    assert_eq!(shown(&bench).await, (Some("Ticket 1".to_owned()), None));
    assert!(bench.runtime().retry_link(link, &"ada".into()).await.is_err());

    // The service says nothing of assignees.
    let update_to = LinkUpdate { assignee: Patch::Set(ada()), ..LinkUpdate::default() };
    update(&bench, link, update_to).await;
    assert_eq!(shown(&bench).await.1, failed());
    bench.save([ticket(1)]).await;
    assert_eq!(shown(&bench).await.1, failed(), "nothing has come in its place");
}

/// R9.8: a change that arrives does not hide another one that did not.
#[tokio::test]
async fn a_change_that_arrives_does_not_hide_one_that_failed() {
    refuses_changes();
    let (bench, link) = bench().await;
    update(&bench, link, titled("Another")).await;
    takes_changes();
    update(&bench, link, LinkUpdate { status: Some("closed".into()), ..LinkUpdate::default() }).await;
    assert_eq!(shown(&bench).await.1, failed());
    bench.runtime().retry_link(link, &"ada".into()).await.unwrap();
    bench.host.settle().await;
    assert_eq!(shown(&bench).await, (Some("Another".to_owned()), Some(Delivery::Delivered)));
}

/// R9.4, R9.8: what waits when its channel is disabled can be sent when it is enabled again.
#[tokio::test]
async fn a_change_that_was_stopped_with_its_channel_is_sent_later() {
    takes_changes();
    let (bench, link) = bench().await;
    bench.runtime().update_link(link, &"ada".into(), titled("Another")).await.unwrap();
    bench.runtime().disable_channel(bench.connection, &"one".into()).await.unwrap();
    bench.host.settle().await;
    assert_eq!(logged(), [""; 0]);
    bench.runtime().enable_channel(bench.connection, &"one".into(), ChannelUpdate::default()).await.unwrap();
    bench.host.settle().await;
    bench.runtime().retry_link(link, &"ada".into()).await.unwrap();
    bench.host.settle().await;
    assert_eq!(logged(), ["Some(\"Another\") None"]);
}

/// R9.8: what the connector does not take stays the user's, and takes no replies.
#[tokio::test]
async fn a_composition_that_nobody_took_takes_no_replies() {
    let (bench, _) = bench().await;
    on(|handlers| {
        handlers.create_link = Some(handler(|_, _| async { Ok(None) }));
        handlers.note_created = Some(handler(|_: Context<Lab>, (note, _): (Note, Thread)| async move {
            log(format!("sent {}", note.content));
            Ok(WriteBack::accepted())
        }));
    });
    let compose = Compose { content: Some("The body".into()), ..bench.composition("Composed") };
    let draft = bench.runtime().compose(compose).await.unwrap();
    let reply = || {
        let new = NewUserNote {
            user: "ada".into(),
            content: "A reply".into(),
            link: None,
            recipients: vec![],
            attachments: vec![],
        };
        bench.runtime().create_note(draft.thread, new)
    };
    assert!(matches!(reply().await, Err(ActionError::Conflict(_))), "it is not at the service yet");
    bench.host.settle().await;
    let link = bench.links().await.into_iter().find(|row| row.id() == draft.id).unwrap().link;
    let Some(Delivery::Failed { reason }) = &link.delivery else { panic!("{:?}", link.delivery) };
    assert!(reason.contains("did not take it"), "{reason}");
    assert!(matches!(reply().await, Err(ActionError::Conflict(_))));
    let body = bench.notes(draft.id).await.remove(0).note;
    bench.runtime().edit_note(body.id, &"ada".into(), "Another body".into()).await.unwrap();
    bench.runtime().update_link(draft.id, &"ada".into(), titled("Another title")).await.unwrap();
    bench.host.settle().await;
    assert_eq!(logged(), [""; 0], "nothing of it is sent by another way");
    bench.runtime().discard_link(draft.id, &"ada".into()).await.unwrap();
    assert!(!bench.links().await.iter().any(|row| row.id() == draft.id));
}
