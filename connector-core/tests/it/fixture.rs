//! Toy connectors whose behaviour a test writes down in place, and a bench to run them on.
//!
//! Every hook and callback of [`Lab`] runs the handler that the test gave for it. Handlers belong to
//! the thread, and a test runs on one; so tests do not meet.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use connector_core::engine::{ChannelRow, LinkQuery, LinkRow, NoteRow, TaskQuery};
use connector_core::id::{ConnectionId, LinkId, NoteId, ThreadId};
use connector_core::prelude::*;
use connector_core::registry::Registry;
use connector_core::runtime::{
    ChannelUpdate, Compose, ConnectRequest, ConnectionUpdate, NewUserNote, Runtime, TaskView,
};
use connector_core::testing::{FakeService, TestHost};
use serde_json::json;

pub(crate) type Outcome<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;
pub(crate) type Handler<C, I, O> = Arc<dyn Fn(Context<C>, I) -> Outcome<O> + Send + Sync>;

/// Makes a handler of an async closure.
pub(crate) fn handler<C: connector_core::component::Component, I, O, F>(
    code: impl Fn(Context<C>, I) -> F + Send + Sync + 'static,
) -> Handler<C, I, O>
where
    F: Future<Output = Result<O>> + Send + 'static,
{
    Arc::new(move |cx, input| Box::pin(code(cx, input)))
}

#[derive(Default)]
pub(crate) struct Handlers {
    pub(crate) once: Option<Handler<Lab, (), ()>>,
    pub(crate) acts: HashMap<String, Handler<Lab, (), ()>>,
    pub(crate) tick: Option<Handler<Lab, (), ()>>,
    pub(crate) items: Option<Handler<Lab, (ChannelId, Option<u64>), Step<u64>>>,
    pub(crate) people: Option<Handler<Lab, (ChannelId, Option<u64>), Step<u64>>>,
    pub(crate) changed: Option<Handler<Lab, (ChannelId, Vec<String>), Drained<String>>>,
    pub(crate) swept: Option<Handler<Lab, Vec<u64>, Drained<u64>>>,
    pub(crate) activate: Option<Handler<Lab, (), ()>>,
    pub(crate) deactivate: Option<Handler<Lab, (), ()>>,
    pub(crate) channels: Option<Handler<Lab, (), Vec<Channel>>>,
    pub(crate) identity: Option<Handler<Lab, (), Option<Actor>>>,
    pub(crate) name: Option<Handler<Lab, (), Option<String>>>,
    pub(crate) disabled: Option<Handler<Lab, Channel, ()>>,
    pub(crate) note_created: Option<Handler<Lab, (Note, Thread), WriteBack>>,
    pub(crate) note_updated: Option<Handler<Lab, (Note, Thread), WriteBack>>,
    pub(crate) link_updated: Option<Handler<Lab, (Link, LinkChanges), ()>>,
    pub(crate) create_link: Option<Handler<Lab, LinkDraft, Option<NewLink>>>,
    pub(crate) contacts_changed: Option<Handler<Lab, (Thread, ContactChanges), ()>>,
    pub(crate) reaction: Option<Handler<Lab, (Note, Emoji, bool), ()>>,
    pub(crate) read: Option<Handler<Lab, (Thread, bool), ()>>,
    pub(crate) to_do: Option<Handler<Lab, (Thread, bool, Option<Date>), ()>>,
    pub(crate) enabled: Option<Handler<Plain, (Channel, SyncContext), ()>>,
    pub(crate) feed: Option<Handler<Plain, Option<u64>, Step<u64>>>,
    pub(crate) walk: Option<Handler<Plain, (ChannelId, u64), ()>>,
    pub(crate) options_changed: Option<Handler<Plain, (PlainOptions, PlainOptions), ()>>,
}

thread_local! {
    static HANDLERS: RefCell<Handlers> = RefCell::default();
    static LOG: RefCell<Vec<String>> = RefCell::default();
}

/// Gives handlers.
pub(crate) fn on(change: impl FnOnce(&mut Handlers)) {
    HANDLERS.with_borrow_mut(change);
}

/// Gives the code of a named `act`.
pub(crate) fn act<F: Future<Output = Result<()>> + Send + 'static>(
    name: &str,
    code: impl Fn(Context<Lab>) -> F + Send + Sync + 'static,
) {
    on(|handlers| {
        handlers.acts.insert(name.to_owned(), handler(move |cx, ()| code(cx)));
    });
}

/// Writes a line that the test looks at.
pub(crate) fn log(line: impl Into<String>) {
    LOG.with_borrow_mut(|log| log.push(line.into()));
}

/// Takes the lines that were written.
pub(crate) fn logged() -> Vec<String> {
    LOG.take()
}

async fn call<C: connector_core::component::Component, I, O>(
    cx: &Context<C>,
    input: I,
    otherwise: O,
    choose: impl FnOnce(&Handlers) -> Option<Handler<C, I, O>>,
) -> Result<O> {
    match HANDLERS.with_borrow(choose) {
        Some(handler) => handler(cx.clone(), input).await,
        None => Ok(otherwise),
    }
}

/// A connector with every hook.
#[connector(
    id = "lab",
    provider = GitHub,
    scopes = ["repo"],
    urls = ["https://api.github.com/*"],
    quota("uploads", 2, per = "10s", of = post("/uploads/*")),
    link_types = [Ticket],
    options = LabOptions,
    reactions(unicode),
    handle_replies
)]
#[derive(Default)]
pub(crate) struct Lab;

#[derive(Options, Clone, Debug, PartialEq)]
pub(crate) struct LabOptions {
    /// How much.
    #[option(default = 3, min = 1, max = 1_000_000)]
    pub(crate) size: u32,
}

/// A ticket.
#[link_type(
    label = "Ticket",
    note_label = "Comment",
    assignee,
    contact_roles(to(label = "To", default), cc(label = "Cc")),
    supports(contact_changes),
    compose(status = Open),
    meta = TicketMeta
)]
pub(crate) enum Ticket {
    #[status(label = "Open", icon = Todo, todo)]
    Open,
    #[status(label = "Closed", icon = Done, done)]
    Closed,
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
pub(crate) struct TicketMeta {
    pub(crate) number: u64,
}

#[connector]
impl Connector for Lab {
    async fn activate(&self, cx: &Context<Self>, _: &Authorization, actor: &Actor) -> Result<()> {
        log(format!("activate {} {}", cx.owner(), actor.id));
        call(cx, (), (), |handlers| handlers.activate.clone()).await
    }

    async fn deactivate(&self, cx: &Context<Self>) -> Result<()> {
        call(cx, (), (), |handlers| handlers.deactivate.clone()).await
    }

    async fn on_options_changed(&self, cx: &Context<Self>, _: &LabOptions, _: &LabOptions) -> Result<()> {
        call(cx, (), (), |handlers| handlers.once.clone()).await
    }

    async fn get_account_name(&self, cx: &Context<Self>, _: &Account) -> Result<Option<String>> {
        call(cx, (), None, |handlers| handlers.name.clone()).await
    }

    async fn get_account_identity(&self, cx: &Context<Self>, _: &Account) -> Result<Option<Actor>> {
        let me = Some(Actor::new(format!("gh-{}", cx.owner())));
        call(cx, (), me, |handlers| handlers.identity.clone()).await
    }

    async fn get_channels(&self, cx: &Context<Self>, _: &Account) -> Result<Vec<Channel>> {
        let both = vec![Channel::new("one", "One"), Channel::new("two", "Two")];
        call(cx, (), both, |handlers| handlers.channels.clone()).await
    }

    async fn on_channel_disabled(&self, cx: &Context<Self>, channel: Channel) -> Result<()> {
        call(cx, channel, (), |handlers| handlers.disabled.clone()).await
    }

    async fn on_note_created(&self, cx: &Context<Self>, note: &Note, thread: &Thread) -> Result<WriteBack> {
        let otherwise = WriteBack::delivered(format!("k{}", note.id));
        call(cx, (note.clone(), thread.clone()), otherwise, |handlers| handlers.note_created.clone()).await
    }

    async fn on_note_updated(&self, cx: &Context<Self>, note: &Note, thread: &Thread) -> Result<WriteBack> {
        let input = (note.clone(), thread.clone());
        call(cx, input, WriteBack::accepted(), |handlers| handlers.note_updated.clone()).await
    }

    async fn on_link_updated(&self, cx: &Context<Self>, link: &Link, changes: &LinkChanges) -> Result<()> {
        call(cx, (link.clone(), changes.clone()), (), |handlers| handlers.link_updated.clone()).await
    }

    async fn on_create_link(&self, cx: &Context<Self>, draft: LinkDraft) -> Result<Option<NewLink>> {
        call(cx, draft, None, |handlers| handlers.create_link.clone()).await
    }

    async fn on_contacts_changed(&self, cx: &Context<Self>, thread: &Thread, changes: &ContactChanges) -> Result<()> {
        call(cx, (thread.clone(), changes.clone()), (), |handlers| handlers.contacts_changed.clone()).await
    }

    async fn on_note_reaction_changed(
        &self,
        cx: &Context<Self>,
        note: &Note,
        _: &Thread,
        _: &Actor,
        emoji: &Emoji,
        added: bool,
    ) -> Result<()> {
        call(cx, (note.clone(), emoji.clone(), added), (), |handlers| handlers.reaction.clone()).await
    }

    async fn on_thread_read(&self, cx: &Context<Self>, thread: &Thread, _: &Actor, unread: bool) -> Result<()> {
        call(cx, (thread.clone(), unread), (), |handlers| handlers.read.clone()).await
    }

    async fn on_thread_to_do(
        &self,
        cx: &Context<Self>,
        thread: &Thread,
        _: &Actor,
        todo: bool,
        date: Option<Date>,
    ) -> Result<()> {
        call(cx, (thread.clone(), todo, date), (), |handlers| handlers.to_do.clone()).await
    }
}

#[connector]
impl Lab {
    /// Runs the code that the test gave by this name.
    #[callback]
    pub(crate) async fn act(&self, cx: &Context<Self>, name: String) -> Result<()> {
        call(cx, (), (), |handlers| handlers.acts.get(&name).cloned()).await
    }

    /// The same in the lane of a channel.
    #[callback]
    pub(crate) async fn act_in(&self, cx: &Context<Self>, channel: ChannelId, name: String) -> Result<()> {
        log(format!("{name} in {channel}"));
        call(cx, (), (), |handlers| handlers.acts.get(&name).cloned()).await
    }

    /// Adds.
    #[callback]
    pub(crate) async fn add(&self, _: &Context<Self>, a: u64, b: u64) -> Result<u64> {
        Ok(a + b)
    }

    /// Takes an input.
    #[callback]
    pub(crate) async fn keep(&self, cx: &Context<Self>, text: String, #[input] number: u32) -> Result<String> {
        cx.set("kept", &(text.clone(), number)).await?;
        Ok(format!("{text} {number}"))
    }

    /// A button.
    #[callback]
    pub(crate) async fn pressed(&self, cx: &Context<Self>, id: u64, #[input] action: Action) -> Result<()> {
        cx.set("pressed", &(id, action.label)).await
    }

    #[every("1h")]
    pub(crate) async fn tick(&self, cx: &Context<Self>) -> Result<()> {
        call(cx, (), (), |handlers| handlers.tick.clone()).await
    }

    #[sync(every = "15m")]
    pub(crate) async fn items(&self, cx: &Context<Self>, channel: ChannelId, cursor: Option<u64>) -> Result<Step<u64>> {
        call(cx, (channel, cursor), Step::Done(cursor.unwrap_or(0)), |handlers| handlers.items.clone()).await
    }

    #[sync(every = "1h")]
    pub(crate) async fn people(
        &self,
        cx: &Context<Self>,
        channel: ChannelId,
        cursor: Option<u64>,
    ) -> Result<Step<u64>> {
        call(cx, (channel, cursor), Step::Done(cursor.unwrap_or(0)), |handlers| handlers.people.clone()).await
    }

    #[drain(batch = 3, delay = "2s", max_attempts = 3)]
    pub(crate) async fn changed(
        &self,
        cx: &Context<Self>,
        channel: ChannelId,
        ids: Vec<String>,
    ) -> Result<Drained<String>> {
        log(format!("changed {}", ids.join(",")));
        call(cx, (channel, ids), Drained::all(), |handlers| handlers.changed.clone()).await
    }

    #[drain(batch = 100, delay = "2s", max_attempts = 2)]
    pub(crate) async fn swept(&self, cx: &Context<Self>, ids: Vec<u64>) -> Result<Drained<u64>> {
        call(cx, ids, Drained::all(), |handlers| handlers.swept.clone()).await
    }
}

/// A connector without a provider, whose channels sync by tasks of their own, and which only reads.
#[connector(id = "plain", urls = ["https://example.test/*"], link_types = [Memo], options = PlainOptions, key_option = "api_key", auto_enable_new_channels)]
#[derive(Default)]
pub(crate) struct Plain;

#[derive(Options, Clone, Debug)]
pub(crate) struct PlainOptions {
    /// The key.
    #[option(secure, required)]
    pub(crate) api_key: Secret,
    /// How far back.
    #[option(default = 90, min = 1)]
    pub(crate) days: u32,
}

/// A memo.
#[link_type(label = "Memo")]
pub(crate) enum Memo {
    Draft,
    Final,
}

#[connector]
impl Connector for Plain {
    async fn get_channels(&self, _: &Context<Self>, _: &Account) -> Result<Vec<Channel>> {
        Ok(vec![Channel::new("memos", "Memos")])
    }

    async fn on_channel_enabled(&self, cx: &Context<Self>, channel: Channel, sync: SyncContext) -> Result<()> {
        log(format!("enabled {} recovering={}", channel.id, sync.recovering));
        call(cx, (channel, sync), (), |handlers| handlers.enabled.clone()).await
    }

    async fn on_options_changed(&self, cx: &Context<Self>, old: &PlainOptions, new: &PlainOptions) -> Result<()> {
        call(cx, (old.clone(), new.clone()), (), |handlers| handlers.options_changed.clone()).await
    }
}

#[connector]
impl Plain {
    /// One page of a walk.
    #[callback]
    pub(crate) async fn walk(&self, cx: &Context<Self>, channel: ChannelId, page: u64) -> Result<()> {
        call(cx, (channel, page), (), |handlers| handlers.walk.clone()).await
    }

    #[sync(every = "30m")]
    pub(crate) async fn feed(&self, cx: &Context<Self>, cursor: Option<u64>) -> Result<Step<u64>> {
        call(cx, cursor, Step::Done(0), |handlers| handlers.feed.clone()).await
    }
}

/// Asks the service in tests that do not care for it.
pub(crate) fn quiet() -> FakeService {
    FakeService::new(|_| FakeService::answer(200, "{}"))
}

/// A request for a connection to the lab.
pub(crate) fn lab_for(user: &str) -> ConnectRequest {
    let mut request = ConnectRequest::new("lab", user);
    request.token = Some(Secret::new("token"));
    request
}

/// A host with the lab, and a connection of ada's to it.
pub(crate) struct Bench {
    pub(crate) host: TestHost,
    pub(crate) service: FakeService,
    pub(crate) connection: ConnectionId,
}

impl Bench {
    /// Connected, with the channels `one` and `two`, of which none is enabled.
    pub(crate) async fn new() -> Self {
        Self::with(quiet()).await
    }

    /// The same, with this service.
    pub(crate) async fn with(service: FakeService) -> Self {
        let host = TestHost::with_network(Registry::of::<Lab>().unwrap(), service.clone());
        Self::on(host, service).await
    }

    pub(crate) async fn on(host: TestHost, service: FakeService) -> Self {
        logged();
        let connection = host.runtime().connect(lab_for("ada")).await.unwrap().id;
        host.settle().await;
        logged();
        Self { host, service, connection }
    }

    /// The same, with channel `one` enabled and synced.
    pub(crate) async fn enabled() -> Self {
        let bench = Self::new().await;
        bench.enable("one").await;
        bench
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        self.host.runtime()
    }

    pub(crate) async fn enable(&self, channel: &str) {
        self.runtime().enable_channel(self.connection, &channel.into(), ChannelUpdate::default()).await.unwrap();
        self.host.settle().await;
    }

    /// What the process finds that comes up after this one was killed.
    pub(crate) async fn crash(self) -> Self {
        Self { host: self.host.crash().await, ..self }
    }

    /// A ticket that ada composes in channel `one`.
    pub(crate) fn composition(&self, title: &str) -> Compose {
        Compose {
            user: "ada".into(),
            connection: self.connection,
            channel: Some("one".into()),
            link_type: "ticket".into(),
            status: None,
            title: title.to_owned(),
            content: None,
            recipients: Vec::new(),
            attachments: Vec::new(),
            schedules: Vec::new(),
        }
    }

    pub(crate) async fn advance(&self, text: &str) {
        self.host.advance(text.parse().unwrap()).await;
    }

    /// Queues one dispatch of this code, which is the handler of a hook.
    pub(crate) async fn queue<T: Send + 'static, F>(
        &self,
        code: impl Fn(Context<Lab>) -> F + Send + Sync + 'static,
    ) -> Arc<Mutex<Vec<Result<T>>>>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.queue_on(self.connection, code).await
    }

    pub(crate) async fn queue_on<T: Send + 'static, F>(
        &self,
        connection: ConnectionId,
        code: impl Fn(Context<Lab>) -> F + Send + Sync + 'static,
    ) -> Arc<Mutex<Vec<Result<T>>>>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let outcomes: Arc<Mutex<Vec<Result<T>>>> = Arc::default();
        let (slot, code) = (Arc::clone(&outcomes), Arc::new(code));
        let once = handler(move |cx, ()| {
            let (slot, code) = (Arc::clone(&slot), Arc::clone(&code));
            async move {
                match code(cx).await {
                    Ok(value) => {
                        slot.lock().unwrap().push(Ok(value));
                        Ok(())
                    }
                    Err(error) => {
                        let seen = Error::new(error.kind().clone(), error.message());
                        slot.lock().unwrap().push(Err(seen));
                        Err(error)
                    }
                }
            }
        });
        on(|handlers| handlers.once = Some(once));
        let size = self.runtime().connection(connection).await.unwrap().options["size"].as_u64().unwrap() + 1;
        let options = json!({"size": size}).as_object().cloned();
        let update = ConnectionUpdate { options, ..ConnectionUpdate::default() };
        self.runtime().update_connection(connection, update).await.unwrap();
        outcomes
    }

    /// Runs this code as one dispatch, and what comes of it. All its outcomes, if it ran more than once.
    pub(crate) async fn outcomes<T: Send + 'static, F>(
        &self,
        code: impl Fn(Context<Lab>) -> F + Send + Sync + 'static,
    ) -> Vec<Result<T>>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let outcomes = self.queue(code).await;
        self.host.settle().await;
        on(|handlers| handlers.once = None);
        std::mem::take(&mut *outcomes.lock().unwrap())
    }

    /// Runs this code as one dispatch, which succeeds, and what comes of it.
    pub(crate) async fn run<T: Send + 'static, F>(&self, code: impl Fn(Context<Lab>) -> F + Send + Sync + 'static) -> T
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.outcomes(code).await.pop().expect("it ran").expect("it succeeded")
    }

    /// Runs this code as one dispatch, which fails.
    pub(crate) async fn fails<T: Send + std::fmt::Debug + 'static, F>(
        &self,
        code: impl Fn(Context<Lab>) -> F + Send + Sync + 'static,
    ) -> Error
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.outcomes(code).await.pop().expect("it ran").expect_err("it failed")
    }

    /// A stored value of the lab's.
    pub(crate) async fn value(&self, key: &str) -> serde_json::Value {
        let entries = self.runtime().state(self.connection, key).await.unwrap();
        entries.into_iter().find(|(found, _)| found == key).map_or(serde_json::Value::Null, |(_, value)| value)
    }

    pub(crate) async fn tasks(&self) -> Vec<TaskView> {
        self.runtime().tasks(TaskQuery::all(1000)).await.unwrap()
    }

    /// Tasks whose title begins so.
    pub(crate) async fn tasks_of(&self, title: &str) -> Vec<TaskView> {
        self.tasks().await.into_iter().filter(|task| task.does.starts_with(title)).collect()
    }

    pub(crate) async fn dead(&self) -> Vec<TaskView> {
        self.runtime().dead_tasks(TaskQuery::all(1000)).await.unwrap()
    }

    pub(crate) async fn channel(&self, id: &str) -> ChannelRow {
        self.runtime().ports().engine.channel(self.connection, id.into()).await.unwrap().unwrap()
    }

    /// All links, in the order of their ids.
    pub(crate) async fn links(&self) -> Vec<LinkRow> {
        let mut query = LinkQuery::all(1000);
        query.archived = true;
        let mut links = self.runtime().ports().engine.links(query).await.unwrap();
        links.sort_by_key(LinkRow::id);
        links
    }

    pub(crate) async fn link(&self, source: &Source) -> Option<LinkRow> {
        self.links().await.into_iter().find(|row| row.link.source == *source)
    }

    pub(crate) async fn notes(&self, link: LinkId) -> Vec<NoteRow> {
        self.runtime().ports().engine.notes_of_link(link).await.unwrap()
    }

    pub(crate) async fn note(&self, id: NoteId) -> NoteRow {
        self.runtime().ports().engine.note(id).await.unwrap().unwrap()
    }

    /// Whether a thread is unread, a to-do and archived for a user.
    pub(crate) async fn marks(&self, thread: ThreadId, user: &str) -> (bool, bool, bool) {
        let rows = self.runtime().ports().engine.user_threads(user.into(), vec![thread]).await.unwrap();
        rows[0].as_ref().map_or((false, false, false), |row| (row.unread, row.todo, row.archived))
    }

    /// Saves these in one live dispatch.
    pub(crate) async fn save(&self, links: impl IntoIterator<Item = NewLink>) {
        let links: Vec<_> = links.into_iter().collect();
        let report = self
            .run(move |cx| {
                let links = links.clone();
                async move { cx.integrations().save_links(links).await }
            })
            .await;
        assert_eq!(report.failed, []);
    }

    /// Saves these notes in one live dispatch.
    pub(crate) async fn save_notes(&self, notes: impl IntoIterator<Item = NewNote>) {
        let notes: Vec<_> = notes.into_iter().collect();
        let report = self
            .run(move |cx| {
                let notes = notes.clone();
                async move { cx.integrations().save_notes(notes).await }
            })
            .await;
        assert_eq!(report.failed, []);
    }

    /// Ada writes a note in a thread; it is not sent yet.
    pub(crate) async fn writes(&self, thread: ThreadId, content: &str) -> Note {
        let note = NewUserNote {
            user: "ada".into(),
            content: content.to_owned(),
            link: None,
            recipients: Vec::new(),
            attachments: Vec::new(),
        };
        self.runtime().create_note(thread, note).await.unwrap()
    }
}

pub(crate) fn source(number: u64) -> Source {
    Source::new("lab", [number.to_string()])
}

pub(crate) fn grace() -> Actor {
    Actor::new("gh-grace").name("Grace")
}

/// The owner of the bench's connection, as the service knows them.
pub(crate) fn ada() -> Actor {
    Actor::new("gh-ada").name("Ada")
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + seconds).unwrap()
}

/// An open ticket of Grace's in channel `one`.
pub(crate) fn ticket(number: u64) -> NewLink {
    NewLink::new(Ticket::Open.with(TicketMeta { number }), source(number), ChannelId::from("one"), grace(), at(0))
        .title(format!("Ticket {number}"))
}

/// A note of Grace's.
pub(crate) fn note(link: u64, key: &str, text: &str) -> NewNote {
    NewNote::new(source(link), key, grace(), at(0), Content::text(text))
}
