//! A host with a connection to the model, and what its user does.

use std::sync::{Arc, Mutex};

use connector_core::engine::{LinkQuery, LinkRow, NoteRow, TaskQuery};
use connector_core::id::{ChannelId, ConnectionId, FileId, UserId};
use connector_core::registry::Registry;
use connector_core::runtime::{ChannelUpdate, ConnectRequest, NewUserNote};
use connector_core::secret::Secret;
use connector_core::testing::conformance::{ConformanceService, Push};
use connector_core::testing::{FakeService, TestHost, VirtualClock};
use connector_core::webhook::WebhookRequest;
use connector_google::Google;
use jiff::{SignedDuration, Timestamp};

use crate::model::{ADA, Shared};

pub(crate) const PUBLIC_URL: &str = "https://host.test";

pub(crate) fn ada() -> UserId {
    UserId::from_static("ada")
}

pub(crate) fn calendar() -> ChannelId {
    ChannelId::of_product("calendar", ADA)
}

pub(crate) fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

/// A host with a connection, of which these channels are enabled.
pub(crate) struct Rig {
    pub(crate) host: TestHost,
    pub(crate) connection: ConnectionId,
}

impl Rig {
    pub(crate) async fn with(google: Shared, channels: &[&str], groups: Option<&[&str]>) -> Self {
        let (model, clock) = (google, Arc::new(Mutex::new(None::<VirtualClock>)));
        let time = Arc::clone(&clock);
        let network = FakeService::new(move |request| {
            let now = time.lock().expect("no panic").as_ref().map_or(Timestamp::UNIX_EPOCH, VirtualClock::now);
            model.with(|google| google.answer(request, now))
        });
        let host = TestHost::with_network(Registry::of::<Google>().expect("the connector is sound"), network);
        let host = host.configure(|config| config.public_url = Some(PUBLIC_URL.to_owned()));
        *clock.lock().expect("no panic") = Some(host.clock().clone());
        let mut request = ConnectRequest::new("google", "ada");
        request.token = Some(Secret::new("t0ken"));
        request.scope_groups = groups.map(|groups| groups.iter().map(|group| (*group).to_owned()).collect());
        let connection = host.run(host.runtime().connect(request)).await.expect("the token is good").id;
        host.run(host.runtime().channels(connection)).await.expect("they can be listed");
        let rig = Self { host, connection };
        for channel in channels {
            rig.enable(&ChannelId::new(*channel)).await;
        }
        rig
    }

    pub(crate) async fn new(google: &Shared, channels: &[&str]) -> Self {
        Self::with(google.clone(), channels, None).await
    }

    pub(crate) async fn enable(&self, channel: &ChannelId) {
        let enabled = self.host.runtime().enable_channel(self.connection, channel, ChannelUpdate::default());
        enabled.await.expect("it can be enabled");
        self.host.settle().await;
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.host.clock().now()
    }

    /// Looks for changes, to the end.
    pub(crate) async fn sync(&self) {
        self.host.advance(minutes(1)).await;
        self.host.runtime().sync_now(self.connection).await.expect("there is the connection");
        self.host.settle().await;
    }

    /// All links, archived ones too.
    pub(crate) async fn links(&self) -> Vec<LinkRow> {
        let mut query = LinkQuery::all(100);
        query.archived = true;
        let dead = self.host.runtime().dead_tasks(TaskQuery::all(10)).await.expect("the store works");
        assert!(dead.is_empty(), "{dead:?}");
        self.host.runtime().ports().engine.links(query).await.expect("the store works")
    }

    pub(crate) async fn link(&self, title: &str) -> LinkRow {
        let links = self.links().await;
        let found = links.iter().find(|row| row.link.title.as_deref() == Some(title)).cloned();
        found.unwrap_or_else(|| panic!("`{title}` is not among {links:?}"))
    }

    pub(crate) async fn notes(&self, link: &LinkRow) -> Vec<NoteRow> {
        let notes = self.host.runtime().ports().engine.notes_of_link(link.link.id).await.expect("the store works");
        notes.into_iter().filter(|row| !row.note.archived).collect()
    }

    /// What a user replies, to the end.
    pub(crate) async fn reply(&self, link: &LinkRow, content: &str) -> NoteRow {
        self.reply_with(link, content, Vec::new()).await
    }

    /// The same, with files.
    pub(crate) async fn reply_with(&self, link: &LinkRow, content: &str, attachments: Vec<FileId>) -> NoteRow {
        let new = NewUserNote {
            user: ada(),
            content: content.to_owned(),
            link: Some(link.link.id),
            recipients: Vec::new(),
            attachments,
        };
        let note = self.host.runtime().create_note(link.link.thread, new).await.expect("it is stored");
        self.host.settle().await;
        self.notes(link).await.into_iter().find(|row| row.note.id == note.id).expect("the note is there")
    }

    /// Delivers a push; false if the host does not take it.
    pub(crate) async fn push(&self, push: &Push) -> bool {
        let token = push
            .url
            .as_deref()
            .and_then(|url| url.strip_prefix(PUBLIC_URL))
            .and_then(|path| path.strip_prefix("/hooks/"));
        let Ok(hook) = self.host.runtime().find_hook(token.expect("it is of this host")).await else { return false };
        let request = WebhookRequest::new("POST", push.body.clone(), self.now());
        let request =
            push.headers.iter().fold(request, |request, (name, value)| request.with_header(name, value.clone()));
        let taken = hook.receive(request).await.is_ok();
        self.host.settle().await;
        taken
    }
}
