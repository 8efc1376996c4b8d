//! One small connector through its whole life.

use connector_core::prelude::*;
use connector_core::registry::Registry;
use connector_core::runtime::{ChannelUpdate, ConnectRequest, LinkUpdate, NewUserNote};
use connector_core::testing::{FakeService, TestHost};

/// A tracker.
#[connector(provider = GitHub, scopes = ["repo"], urls = ["https://api.github.com/*"], link_types = [Ticket], handle_replies)]
#[derive(Default)]
struct Tracker;

/// A ticket.
#[link_type(label = "Ticket", note_label = "Comment", meta = TicketMeta)]
enum Ticket {
    #[status(label = "Open", icon = Todo, todo)]
    Open,
    #[status(label = "Closed", icon = Done, done)]
    Closed,
}

#[derive(Serialize, Deserialize)]
struct TicketMeta {
    number: u64,
}

#[connector]
impl Connector for Tracker {
    async fn get_channels(&self, _cx: &Context<Self>, _account: &Account) -> Result<Vec<Channel>> {
        Ok(vec![Channel::new("one", "One")])
    }

    async fn on_note_created(&self, cx: &Context<Self>, note: &Note, _thread: &Thread) -> Result<WriteBack> {
        cx.provider().post("/notes").json(&note.content).send().await?;
        Ok(WriteBack::delivered("n1"))
    }

    async fn on_link_updated(&self, cx: &Context<Self>, link: &Link, changes: &LinkChanges) -> Result<()> {
        let number = link.meta::<Ticket>()?.number;
        let closed = changes.status::<Ticket>()? == Some(Ticket::Closed);
        cx.provider().patch(format!("/tickets/{number}")).json(&closed).send().await?;
        Ok(())
    }
}

#[connector]
impl Tracker {
    #[sync(every = "15m")]
    async fn tickets(&self, cx: &Context<Self>, channel: ChannelId, after: Option<u64>) -> Result<Step<u64>> {
        let page = after.unwrap_or(0);
        let author = Actor::new("7").name("Grace");
        let source = Source::new("tracker", [page.to_string()]);
        let at = Timestamp::UNIX_EPOCH;
        let note = NewNote::new(source.clone(), "body", author.clone(), at, Content::text("Hello"));
        let link = NewLink::new(Ticket::Open.with(TicketMeta { number: page }), source, &channel, author, at)
            .title(format!("Ticket {page}"))
            .notes([note]);
        cx.integrations().save_link(link).await?;
        Ok(if page < 3 { Step::Next(page + 1) } else { Step::Done(page) })
    }
}

/// R11.1, R8.2, R9.1
#[tokio::test]
async fn a_declared_connector_lives() {
    let service = FakeService::new(|_| FakeService::answer(200, "{}"));
    let host = TestHost::with_network(Registry::of::<Tracker>().unwrap(), service.clone());
    let runtime = host.runtime();
    let mut request = ConnectRequest::new("tracker", "ada");
    request.token = Some(Secret::new("t"));
    let connection = runtime.connect(request).await.unwrap();
    let channels = runtime.channels(connection.id).await.unwrap();
    assert_eq!(channels.len(), 1);
    runtime.enable_channel(connection.id, &"one".into(), ChannelUpdate::default()).await.unwrap();
    host.settle().await;
    let links = runtime.ports().engine.links(connector_core::engine::LinkQuery::all(100)).await.unwrap();
    assert_eq!(links.len(), 4);
    let channel = runtime.channels(connection.id).await.unwrap().remove(0);
    assert_eq!(channel.sync.state, connector_core::engine::SyncState::Synced);
    assert_eq!(channel.sync.saved, 8);

    let link = &links[0].link;
    let note = NewUserNote {
        user: "ada".into(),
        content: "On it.".into(),
        link: None,
        recipients: vec![],
        attachments: Vec::new(),
    };
    let note = runtime.create_note(link.thread, note).await.unwrap();
    host.settle().await;
    let note = runtime.ports().engine.note(note.id).await.unwrap().unwrap().note;
    assert_eq!(note.key, Some(NoteKey::from("n1")));
    let update = LinkUpdate { status: Some("closed".into()), ..LinkUpdate::default() };
    runtime.update_link(link.id, &"ada".into(), update).await.unwrap();
    host.settle().await;
    let sent: Vec<_> =
        service.requests().iter().map(|request| format!("{} {}", request.method, request.url.path())).collect();
    assert_eq!(sent, ["POST /notes", &format!("PATCH /tickets/{}", link.meta::<Ticket>().unwrap().number)]);

    host.advance(SignedDuration::from_hours(1)).await;
    runtime.disconnect(connection.id).await.unwrap();
    assert_eq!(runtime.ports().engine.counts().await.unwrap(), connector_core::engine::Counts::default());
}
