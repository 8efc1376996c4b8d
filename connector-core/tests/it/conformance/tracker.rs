use std::cell::{Cell, RefCell};

use connector_core::prelude::*;
use connector_core::walk::Items;
use connector_core::webhook::{Verify, VerifyError};
use serde_json::{Value, json};

use super::service::{Comment, Ticket};

/// What is wrong with the toy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    None,
    NeverEnds,
    Forks,
    ForksQuietly,
    AllInOneRun,
    CallsWhenEnabled,
    MovesItsCursorFirst,
    LeavesState,
    LeavesStateUnderItsOwnName,
    UpgradeFails,
    TakesAllForTransient,
    AsksAgainAtOnce,
    SwallowsRefusals,
    AsksElsewhere,
    KeepsTheToken,
    SendsItsOwnKeys,
    SendsNothing,
    NamesNobody,
    WritesWhatItReads,
    IdsOfOneProject,
    AllIsUnread,
    TimesOfNow,
    LessWhenLive,
    SendsAll,
    ForgetsWhatWasStored,
    TokenInTheUrl,
    NoOverlap,
    FetchesEachPush,
    DropsWhatComesSoon,
    ForgetsItsRegistration,
    RegistersAnotherSecret,
    RegistersTwice,
    HidesTheEndOfItsRegistration,
    TakesWhatIsNotSigned,
    NeedsWhatWasDeclined,
    /// A PUT that appends is taken for one that may be repeated.
    RepeatsAnAppend,
    /// No bug: the same PUT, marked as what it is.
    MarksAnAppend,
    /// The watermark is the newest time of all.
    FoldsTheNewest,
    /// Pages are asked for as long as the service has more, whatever they bring.
    AsksForEver,
    /// A walk over everything says no more than that it is done.
    NeverComplete,
    /// A page is read whole or not at all.
    ReadsWholePages,
}

thread_local! {
    pub(super) static BUG: Cell<Bug> = const { Cell::new(Bug::None) };
    pub(super) static TOKEN: RefCell<Option<Secret>> = const { RefCell::new(None) };
}

pub(super) fn has(bug: Bug) -> bool {
    BUG.get() == bug
}

/// Tickets.
#[connector(
    provider = GitHub,
    scopes(required = ["repo"], optional(id = "hooks", label = "Live updates", scopes = ["hooks"], default = true)),
    urls = ["https://api.github.com/*"],
    link_types = [Task],
    handle_replies,
)]
#[derive(Default)]
pub(super) struct Tracker;

/// A ticket.
#[link_type(label = "Ticket", note_label = "Comment", compose(status = Open), meta = TaskMeta)]
enum Task {
    #[status(label = "Open", icon = Todo, todo)]
    Open,
    #[status(label = "Closed", icon = Done, done)]
    Closed,
}

#[derive(Serialize, Deserialize)]
struct TaskMeta {
    number: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Walk {
    since: Since,
    page: u32,
    /// It is over all tickets.
    all: bool,
    /// Where it begins, and the newest time so far, for one who folds times by hand.
    folded: (Timestamp, Timestamp),
}

#[derive(Deserialize)]
struct Page {
    tickets: Items<Ticket>,
    more: bool,
}

fn actor(id: &str) -> Actor {
    Actor::new(if has(Bug::NamesNobody) { "" } else { id })
}

fn path(link: &Link) -> Result<String> {
    Ok(format!("/projects/{}/{}", link.channel, link.meta::<Task>()?.number))
}

/// What every request of the toy does.
async fn ask<T: serde::de::DeserializeOwned>(
    cx: &Context<Tracker>,
    method: &str,
    path: &str,
    body: Value,
) -> Result<T> {
    let build = || {
        let request = cx.provider().request(method.parse().unwrap(), path);
        let request = if has(Bug::MarksAnAppend) && method == "PUT" { request.not_repeatable() } else { request };
        if body.is_null() { request } else { request.json(&body) }
    };
    let mut request = build();
    if let Some(token) = cx.integrations().token(ChannelId::from_static("alpha")).await? {
        request = match BUG.get() {
            Bug::KeepsTheToken => request.bearer(&TOKEN.with_borrow_mut(|kept| kept.get_or_insert(token).clone())),
            Bug::TokenInTheUrl => request.query("access_token", token.expose()),
            _ => request,
        };
    }
    match request.fetch().await {
        Err(error) if has(Bug::TakesAllForTransient) => Err(Error::transient(error.to_string())),
        Err(error) if has(Bug::AsksAgainAtOnce) && matches!(error.kind(), ErrorKind::RateLimited { .. }) => {
            build().fetch().await
        }
        answer => answer,
    }
}

async fn save(cx: &Context<Tracker>, channel: &ChannelId, tickets: &[Ticket]) -> Result<()> {
    let mut links = Vec::new();
    for ticket in tickets {
        let number = ticket.number.to_string();
        let source = match BUG.get() {
            Bug::IdsOfOneProject => Source::new("tracker", [number.as_str()]),
            _ => Source::new("tracker", [channel.as_str(), &number]),
        };
        let status = if ticket.state == "open" { Task::Open } else { Task::Closed };
        let at = if has(Bug::TimesOfNow) { cx.now() } else { ticket.created };
        let notes = ticket.comments.iter().map(|comment| {
            let text = Content::markdown(comment.text.clone());
            NewNote::new(source.clone(), comment.id.to_string(), actor(&comment.author), comment.at, text)
        });
        let text = Content::markdown(ticket.text.clone());
        let text = NewNote::new(source.clone(), "text", actor(&ticket.author), ticket.created, text);
        let notes: Vec<_> = std::iter::once(text).chain(notes).collect();
        let mut link =
            NewLink::new(status.with(TaskMeta { number: ticket.number }), source, channel, actor(&ticket.author), at)
                .title(&ticket.title)
                .updated_at(ticket.updated)
                .all_notes(notes);
        if !(has(Bug::LessWhenLive) && cx.mode() == Mode::Live) {
            link = link.url(format!("https://github.com/{channel}/{number}"));
        }
        if has(Bug::AllIsUnread) {
            link = link.provider_read(false);
        }
        links.push(link);
    }
    if has(Bug::WritesWhatItReads) && !tickets.is_empty() {
        let _: Value = ask(cx, "POST", "/seen", json!({})).await?;
    }
    cx.integrations().save_links(links).await.map(drop)
}

#[connector]
impl Connector for Tracker {
    async fn upgrade(&self, _: &Context<Self>, _: &str) -> Result<()> {
        if has(Bug::UpgradeFails) { Err(Error::bug("cannot be upgraded")) } else { Ok(()) }
    }

    async fn get_account_identity(&self, cx: &Context<Self>, _: &Account) -> Result<Option<Actor>> {
        let me: Value = ask(cx, "GET", "/me", Value::Null).await?;
        Ok(me["id"].as_str().map(Actor::new))
    }

    async fn get_channels(&self, cx: &Context<Self>, _: &Account) -> Result<Vec<Channel>> {
        let projects: Vec<String> = ask(cx, "GET", "/projects", Value::Null).await?;
        Ok(projects.into_iter().map(|project| Channel::new(project.as_str(), project.as_str())).collect())
    }

    async fn on_channel_enabled(&self, cx: &Context<Self>, channel: Channel, _: SyncContext) -> Result<()> {
        if has(Bug::CallsWhenEnabled) {
            let _: Value = ask(cx, "GET", "/projects", Value::Null).await?;
        }
        if has(Bug::LeavesState) {
            cx.set(&format!("seen/{}", channel.id), &true).await?;
        }
        if has(Bug::LeavesStateUnderItsOwnName) {
            let backwards: String = channel.id.as_str().chars().rev().collect();
            cx.set(&format!("seen/{backwards}"), &true).await?;
        }
        if has(Bug::ForksQuietly) {
            cx.run_task(Count { left: 1 }).await?;
        }
        if has(Bug::Forks) {
            cx.run_task(Poll { channel: channel.id }).await?;
        }
        Ok(())
    }

    async fn on_link_updated(&self, cx: &Context<Self>, link: &Link, changes: &LinkChanges) -> Result<()> {
        let edit = match BUG.get() {
            Bug::SendsAll => json!({ "title": link.title, "state": link.status }),
            _ => json!({ "title": changes.title, "state": changes.raw_status }),
        };
        ask::<Value>(cx, "PATCH", &path(link)?, edit).await.map(drop)
    }

    async fn on_create_link(&self, cx: &Context<Self>, draft: LinkDraft) -> Result<Option<NewLink>> {
        let channel = draft.require_channel()?;
        let created: Ticket =
            ask(cx, "POST", &format!("/projects/{channel}"), json!({ "title": draft.title, "text": draft.content }))
                .await?;
        let source = Source::new("tracker", [channel.as_str(), &created.number.to_string()]);
        let meta = TaskMeta { number: created.number };
        let text = Content::markdown(created.text);
        let text = NewNote::new(source.clone(), "text", actor(&created.author), created.created, text);
        let link = NewLink::new(Task::Open.with(meta), source, channel, actor(&created.author), created.created);
        Ok(Some(link.title(created.title).notes([text])))
    }

    async fn on_note_updated(&self, cx: &Context<Self>, note: &Note, thread: &Thread) -> Result<WriteBack> {
        let key = note.require_key()?;
        let path = format!("{}/comments/{key}", path(thread.link_of(note)?)?);
        let comment: Comment = ask(cx, "PATCH", &path, json!({ "text": note.content })).await?;
        Ok(WriteBack::delivered(key.clone()).stored(Content::markdown(comment.text)))
    }

    async fn on_note_created(&self, cx: &Context<Self>, note: &Note, thread: &Thread) -> Result<WriteBack> {
        if has(Bug::SendsNothing) {
            return Ok(WriteBack::accepted());
        }
        let comments = path(thread.link_of(note)?)? + "/comments";
        let appends = has(Bug::RepeatsAnAppend) || has(Bug::MarksAnAppend);
        let method = if appends { "PUT" } else { "POST" };
        let comment: Comment = if has(Bug::SendsItsOwnKeys) {
            let request = cx.provider().post(&comments).header("Idempotency-Key", note.id.to_string());
            request.json(&json!({ "text": note.content })).fetch().await?
        } else {
            ask(cx, method, &comments, json!({ "text": note.content })).await?
        };
        let result = WriteBack::delivered(comment.id.to_string());
        Ok(match BUG.get() {
            Bug::ForgetsWhatWasStored => result,
            _ => result.stored(Content::markdown(comment.text)),
        })
    }
}

#[connector]
impl Tracker {
    #[sync(every = "15m")]
    async fn tickets(&self, cx: &Context<Self>, channel: ChannelId, after: Option<Walk>) -> Result<Step<Walk>> {
        if has(Bug::NeedsWhatWasDeclined) && !cx.account().granted("hooks") {
            return Err(Error::rejected("the scope `hooks` was declined"));
        }
        let overlap = SignedDuration::from_mins(if has(Bug::NoOverlap) { 0 } else { 2 });
        let since = Since::new(Timestamp::UNIX_EPOCH).overlap(overlap);
        let folded = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        let mut walk = after.unwrap_or(Walk { since, page: 0, all: true, folded });
        if has(Bug::MovesItsCursorFirst) {
            let key = format!("cursor/{channel}");
            walk = cx.get(&key).await?.unwrap_or(walk);
            cx.set(&key, &Walk { page: walk.page + 1, ..walk.clone() }).await?;
            cx.checkpoint().await?;
        }
        if has(Bug::AsksElsewhere) {
            cx.network().get("https://metrics.example/").send().await?;
        }
        loop {
            let start = if has(Bug::FoldsTheNewest) { walk.folded.0 } else { walk.since.start(cx.now()) };
            let path = format!("/projects/{channel}?since={start}&page={}", walk.page);
            let page: Value = match ask(cx, "GET", &path, Value::Null).await {
                Err(error) if has(Bug::SwallowsRefusals) && *error.kind() == ErrorKind::NeedsReauth => {
                    json!({ "tickets": [], "more": false })
                }
                page => page?,
            };
            if has(Bug::ReadsWholePages) {
                Vec::<Ticket>::deserialize(&page["tickets"]).or_kind(ErrorKind::Bug)?;
            }
            let Page { tickets, more } = serde_json::from_value(page).or_kind(ErrorKind::Bug)?;
            let mut tickets = tickets.take(cx);
            if has(Bug::AsksForEver) {
                tickets.retain(|ticket| walk.page < 3 || ticket.updated > cx.now());
            }
            save(cx, &channel, &tickets).await?;
            for ticket in &tickets {
                walk.since.is_new(cx.now(), ticket.updated, ticket.number.to_string());
                walk.folded.1 = walk.folded.1.max(ticket.updated);
            }
            if more {
                walk.page += 1;
                if has(Bug::AllInOneRun) {
                    continue;
                }
                return Ok(Step::Next(walk));
            }
            if has(Bug::NeverEnds) {
                return Ok(Step::Wait(cx.now() + SignedDuration::from_mins(15), walk));
            }
            let folded = ((walk.folded.1 - overlap).max(walk.folded.0), walk.folded.1);
            let next = Walk { since: walk.since.ended(), page: 0, all: false, folded };
            if has(Bug::MovesItsCursorFirst) {
                cx.set(&format!("cursor/{channel}"), &next).await?;
            }
            let complete = walk.all && !has(Bug::NeverComplete);
            return Ok(if complete { Step::Complete(LinkFilter::default(), next) } else { Step::Done(next) });
        }
    }

    /// Asks the service nothing.
    #[callback]
    async fn count(&self, cx: &Context<Self>, left: u32) -> Result<()> {
        let times = if left > 0 { 2 } else { 1 };
        for _ in 0..times {
            cx.run_task_at(Count { left: (left + 1) % 8 }, cx.now() + SignedDuration::from_hours(1)).await?;
        }
        Ok(())
    }

    #[callback]
    async fn poll(&self, cx: &Context<Self>, channel: ChannelId) -> Result<()> {
        let _: Value = ask(cx, "GET", "/projects", Value::Null).await?;
        for minutes in [50, 60] {
            let at = cx.now() + SignedDuration::from_mins(minutes);
            cx.run_task_at(Poll { channel: channel.clone() }, at).await?;
        }
        Ok(())
    }

    /// What the tracker pushes.
    #[webhook(verify = function(signature), delivery_id = "X-Delivery")]
    async fn events(
        &self,
        cx: &Context<Self>,
        channel: ChannelId,
        #[input] request: Verified<WebhookRequest>,
    ) -> Result<()> {
        let Pushed { number } = request.json()?;
        if has(Bug::FetchesEachPush) {
            return cx.run_task(Fetch { channel, number }).await.map(drop);
        }
        if has(Bug::DropsWhatComesSoon) {
            let last: Option<Timestamp> = cx.get("pushed").await?;
            cx.set("pushed", &cx.now()).await?;
            if last.is_some_and(|last| cx.now().duration_since(last) < SignedDuration::from_mins(1)) {
                return Ok(());
            }
        }
        cx.mark_dirty(Changed { channel }, [number]).await
    }

    /// What a push named.
    #[drain(batch = 20, delay = "1s")]
    async fn changed(&self, cx: &Context<Self>, channel: ChannelId, numbers: Vec<u64>) -> Result<Drained<u64>> {
        for number in numbers {
            let path = format!("/projects/{channel}/{number}");
            match ask::<Ticket>(cx, "GET", &path, Value::Null).await.unless_gone()? {
                Some(ticket) => save(cx, &channel, &[ticket]).await?,
                None => {
                    let gone = Source::new("tracker", [channel.as_str(), &number.to_string()]);
                    cx.integrations().archive_links(LinkFilter::sources([gone])).await?;
                }
            }
        }
        Ok(Drained::all())
    }

    #[callback]
    async fn fetch(&self, cx: &Context<Self>, channel: ChannelId, number: u64) -> Result<()> {
        let ticket: Ticket = ask(cx, "GET", &format!("/projects/{channel}/{number}"), Value::Null).await?;
        save(cx, &channel, &[ticket]).await
    }
}

#[derive(Deserialize)]
struct Pushed {
    number: u64,
}

fn signature(request: &WebhookRequest, secret: Option<&Secret>) -> std::result::Result<(), VerifyError> {
    const HEADER: &str = "X-Signature";
    if has(Bug::TakesWhatIsNotSigned) && request.header(HEADER).is_none() {
        return Ok(());
    }
    Verify::HmacSha256 { header: HEADER, prefix: "sha256=" }.check(request, secret, request.received_at)
}

#[derive(Deserialize)]
struct Hook {
    id: u64,
    url: String,
    ends: Timestamp,
}

impl Hook {
    fn registration(self) -> Registration {
        let registration = Registration::new(self.id.to_string()).url(self.url);
        if has(Bug::HidesTheEndOfItsRegistration) { registration } else { registration.expires_at(self.ends) }
    }
}

impl Subscription for Events {
    async fn create(&self, cx: &Context<Tracker>, endpoint: &Endpoint) -> Result<Registration> {
        let secret = endpoint.secret.as_ref().map(Secret::expose);
        let secret = if has(Bug::RegistersAnotherSecret) { Some("always the same") } else { secret };
        let path = format!("/hooks/{}", self.channel);
        let wanted = json!({ "url": endpoint.url, "secret": secret });
        if has(Bug::RegistersTwice) {
            ask::<Value>(cx, "POST", &path, wanted.clone()).await?;
        }
        Ok(ask::<Hook>(cx, "POST", &path, wanted).await?.registration())
    }

    async fn renew(
        &self,
        cx: &Context<Tracker>,
        registration: &Registration,
        _: &Endpoint,
    ) -> Result<Option<Registration>> {
        let path = format!("/hooks/{}", registration.id);
        Ok(Some(ask::<Hook>(cx, "PUT", &path, json!({})).await?.registration()))
    }

    async fn delete(&self, cx: &Context<Tracker>, registration: &Registration) -> Result<()> {
        if has(Bug::ForgetsItsRegistration) {
            return Ok(());
        }
        ask::<Value>(cx, "DELETE", &format!("/hooks/{}", registration.id), Value::Null).await.unless_gone().map(drop)
    }

    async fn list(&self, cx: &Context<Tracker>) -> Result<Option<Vec<Registration>>> {
        let hooks: Vec<Hook> = ask(cx, "GET", &format!("/hooks/{}", self.channel), Value::Null).await?;
        Ok(Some(hooks.into_iter().map(Hook::registration).collect()))
    }
}
