//! The conformance kit finds what it is for: a toy tracker keeps its promises, and each of its bugs breaks one.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use connector_core::network::{Request, Response};
use connector_core::prelude::*;
use connector_core::testing::FakeService;
use connector_core::testing::conformance::{Conformance, ConformanceService, Edit, Item, Promise, Report, Verdict};
use serde_json::{Value, json};

/// Tickets of projects, numbered in each; comments lose their formatting.
#[derive(Default)]
struct TrackerService {
    tickets: BTreeMap<(String, u64), Ticket>,
    comments: u64,
}

#[derive(Clone, Serialize, Deserialize)]
struct Ticket {
    number: u64,
    title: String,
    text: String,
    state: String,
    created: Timestamp,
    updated: Timestamp,
    author: String,
    comments: Vec<Comment>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Comment {
    id: u64,
    text: String,
    author: String,
    at: Timestamp,
}

const PROJECTS: [&str; 2] = ["alpha", "beta"];

impl TrackerService {
    fn ticket(&mut self, project: &str, title: &str, text: &str, author: &str, at: Timestamp) -> &mut Ticket {
        let number = self.tickets.keys().filter(|(of, _)| of == project).count() as u64 + 1;
        let ticket = Ticket {
            number,
            title: title.to_owned(),
            text: text.to_owned(),
            state: "open".to_owned(),
            created: at,
            updated: at,
            author: author.to_owned(),
            comments: Vec::new(),
        };
        self.tickets.entry((project.to_owned(), number)).or_insert(ticket)
    }

    fn comment(&mut self, at: Timestamp, key: &(String, u64), author: &str, text: &str) -> Option<Comment> {
        self.comments += 1;
        let comment = Comment { id: self.comments, text: text.replace('*', ""), author: author.to_owned(), at };
        let ticket = self.tickets.get_mut(key)?;
        ticket.comments.push(comment.clone());
        ticket.updated = ticket.updated.max(at);
        Some(comment)
    }

    fn found(&mut self, request: &Request, now: Timestamp) -> Option<Value> {
        let body: Value = serde_json::from_slice(&request.body.bytes().unwrap_or_default()).unwrap_or_default();
        let path: Vec<_> = request.url.path().trim_matches('/').split('/').collect();
        let query: BTreeMap<_, _> = request.url.query_pairs().into_owned().collect();
        Some(match (request.method.as_str(), path.as_slice()) {
            ("GET", ["me"]) => json!({ "id": "me" }),
            ("GET", ["projects"]) => json!(PROJECTS),
            ("GET", ["projects", project]) => {
                let since: Timestamp = query.get("since")?.parse().ok()?;
                let page: usize = query.get("page")?.parse().ok()?;
                let all = self.tickets.iter().filter(|((of, _), ticket)| of == project && ticket.updated >= since);
                let mut all: Vec<_> = all.map(|(_, ticket)| ticket).collect();
                all.sort_by_key(|ticket| (ticket.updated, ticket.number));
                json!(all.into_iter().skip(page * 3).take(3).collect::<Vec<_>>())
            }
            ("POST", ["projects", project]) => {
                json!(self.ticket(project, body["title"].as_str()?, body["text"].as_str()?, "me", now))
            }
            ("PATCH", ["projects", project, number]) => {
                let ticket = self.tickets.get_mut(&(project.to_string(), number.parse().ok()?))?;
                if let Some(title) = body["title"].as_str() {
                    ticket.title = title.to_owned();
                }
                if let Some(state) = body["state"].as_str() {
                    ticket.state = state.to_owned();
                }
                ticket.updated = now;
                json!(ticket)
            }
            ("POST", ["projects", project, number, "comments"]) => {
                let key = (project.to_string(), number.parse().ok()?);
                json!(self.comment(now, &key, "me", body["text"].as_str()?)?)
            }
            ("POST", ["seen"]) => json!({}),
            _ => return None,
        })
    }
}

impl ConformanceService for TrackerService {
    fn answer(&mut self, request: &Request, now: Timestamp) -> Response {
        match self.found(request, now) {
            Some(found) => FakeService::answer(200, found.to_string()),
            None => FakeService::answer(404, "{}"),
        }
    }

    fn items(&self) -> Vec<Item> {
        let item = |((project, number), ticket): (&(String, u64), &Ticket)| {
            Item::new(format!("{project}/{number}"), project, &ticket.title)
                .status(&ticket.state)
                .created_at(ticket.created)
                .notes(std::iter::once(&ticket.text).chain(ticket.comments.iter().map(|comment| &comment.text)))
        };
        self.tickets.iter().map(item).collect()
    }

    fn create(&mut self, channel: &str, title: &str, text: &str, at: Timestamp) -> String {
        format!("{channel}/{}", self.ticket(channel, title, text, "grace", at).number)
    }

    fn edit(&mut self, id: &str, edit: &Edit, at: Timestamp) -> bool {
        let Some((project, number)) = id.split_once('/') else { return false };
        let key = (project.to_owned(), number.parse().unwrap());
        if let Edit::Note(text) = edit {
            return self.comment(at, &key, "grace", text).is_some();
        }
        let Some(ticket) = self.tickets.get_mut(&key) else { return false };
        match edit {
            Edit::Title(title) => ticket.title.clone_from(title),
            Edit::Status(status) => ticket.state.clone_from(status),
            _ => return false,
        }
        ticket.updated = at;
        true
    }
}

/// What is wrong with the toy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    NeverEnds,
    Forks,
    AllInOneRun,
    CallsWhenEnabled,
    MovesItsCursorFirst,
    LeavesState,
    UpgradeFails,
    TakesAllForTransient,
    AsksAgainAtOnce,
    SwallowsRefusals,
    AsksElsewhere,
    KeepsTheToken,
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
}

thread_local! {
    static BUG: Cell<Bug> = const { Cell::new(Bug::None) };
    static TOKEN: RefCell<Option<Secret>> = const { RefCell::new(None) };
}

fn has(bug: Bug) -> bool {
    BUG.get() == bug
}

/// Tickets.
#[connector(
    provider = GitHub,
    scopes = ["repo"],
    urls = ["https://api.github.com/*"],
    link_types = [Task],
    handle_replies,
)]
#[derive(Default)]
struct Tracker;

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
    since: Timestamp,
    newest: Timestamp,
    page: u32,
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

    async fn on_note_created(&self, cx: &Context<Self>, note: &Note, thread: &Thread) -> Result<WriteBack> {
        if has(Bug::SendsNothing) {
            return Ok(WriteBack::accepted());
        }
        let comments = path(thread.link_of(note)?)? + "/comments";
        let comment: Comment = ask(cx, "POST", &comments, json!({ "text": note.content })).await?;
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
        let start = Walk { since: Timestamp::UNIX_EPOCH, newest: Timestamp::UNIX_EPOCH, page: 0 };
        let mut walk = after.unwrap_or(start);
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
            let path = format!("/projects/{channel}?since={}&page={}", walk.since, walk.page);
            let page: Vec<Ticket> = match ask(cx, "GET", &path, Value::Null).await {
                Err(error) if has(Bug::SwallowsRefusals) && *error.kind() == ErrorKind::NeedsReauth => Vec::new(),
                page => page?,
            };
            save(cx, &channel, &page).await?;
            walk.newest = page.iter().map(|ticket| ticket.updated).fold(walk.newest, Timestamp::max);
            if page.len() == 3 {
                walk.page += 1;
                if has(Bug::AllInOneRun) {
                    continue;
                }
                return Ok(Step::Next(walk));
            }
            if has(Bug::NeverEnds) {
                return Ok(Step::Wait(cx.now() + SignedDuration::from_mins(15), walk));
            }
            let since = match BUG.get() {
                Bug::NoOverlap => walk.newest + SignedDuration::from_secs(1),
                _ => walk.newest - SignedDuration::from_mins(2),
            };
            let next = Walk { since: since.max(Timestamp::UNIX_EPOCH), page: 0, ..walk };
            if has(Bug::MovesItsCursorFirst) {
                cx.set(&format!("cursor/{channel}"), &next).await?;
            }
            return Ok(Step::Done(next));
        }
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
}

fn report(bug: Bug, points: usize) -> Report {
    BUG.set(bug);
    TOKEN.set(None);
    Conformance::of::<Tracker>(TrackerService::default).points(points).run()
}

/// The kit finds this bug, by this promise.
#[track_caller]
fn finds(bug: Bug, promise: u8, points: usize) {
    let report = report(bug, points);
    assert!(report.failed().contains(&Promise::new(promise)), "L{promise} is not found broken by {bug:?}\n{report}");
}

/// R12.2
#[test]
fn a_sound_connector_keeps_its_promises() {
    let report = report(Bug::None, 12);
    report.assert();
    for promise in Promise::all() {
        let tried = matches!(report.verdict(promise), Verdict::Passed { .. });
        assert_eq!(tried, ![3, 6, 13, 14, 17, 26, 27, 28].contains(&promise.number()), "{promise}\n{report}");
    }
}

macro_rules! bugs {
    ($($name:ident: $bug:ident breaks $promise:literal at $points:literal points;)*) => {
        $(
            /// R12.2
            #[test]
            fn $name() {
                finds(Bug::$bug, $promise, $points);
            }
        )*
    };
}

bugs! {
    l1_a_sync_that_never_ends: NeverEnds breaks 1 at 0 points;
    l2_work_that_forks: Forks breaks 2 at 0 points;
    l4_all_pages_in_one_run: AllInOneRun breaks 4 at 0 points;
    l5_a_call_while_a_channel_is_enabled: CallsWhenEnabled breaks 5 at 0 points;
    l7_a_cursor_that_moves_before_its_items: MovesItsCursorFirst breaks 7 at 12 points;
    l8_state_that_stays_after_its_channel: LeavesState breaks 8 at 0 points;
    l9_an_upgrade_that_fails: UpgradeFails breaks 9 at 0 points;
    l10_permanent_failures_that_are_retried: TakesAllForTransient breaks 10 at 0 points;
    l11_a_busy_service_that_is_asked_again_at_once: AsksAgainAtOnce breaks 11 at 4 points;
    l12_a_lost_token_that_nobody_sees: SwallowsRefusals breaks 12 at 0 points;
    l12_a_call_to_an_undeclared_url: AsksElsewhere breaks 12 at 0 points;
    l15_a_token_that_is_kept: KeepsTheToken breaks 15 at 4 points;
    l16_a_reply_that_is_sent_to_nobody: SendsNothing breaks 16 at 0 points;
    l18_an_author_who_is_nobody: NamesNobody breaks 18 at 0 points;
    l19_a_write_that_comes_of_reading: WritesWhatItReads breaks 19 at 0 points;
    l20_ids_that_are_unique_in_a_project_only: IdsOfOneProject breaks 20 at 0 points;
    l21_a_backfill_that_is_all_unread: AllIsUnread breaks 21 at 0 points;
    l22_now_as_the_time_of_an_old_item: TimesOfNow breaks 22 at 0 points;
    l23_less_when_it_is_followed: LessWhenLive breaks 23 at 0 points;
    l24_an_edit_that_sends_the_whole_item: SendsAll breaks 24 at 0 points;
    l25_a_note_whose_stored_form_is_forgotten: ForgetsWhatWasStored breaks 25 at 0 points;
    l29_a_token_in_a_url: TokenInTheUrl breaks 29 at 0 points;
    l30_a_watermark_without_overlap: NoOverlap breaks 30 at 0 points;
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 4, failure_persistence: None, ..Default::default() })]

    /// Issue 4: both ends edit at random while the host is killed at random; they converge, and the service is
    /// changed at most by the user's edits.
    #[test]
    fn both_ends_converge(seed: u64) {
        BUG.set(Bug::None);
        Conformance::of::<Tracker>(TrackerService::default).week(seed, 20).assert();
    }
}

/// Issue 4, R6.5: killed a thousand times in a week, the host has what the service has.
#[test]
fn a_thousand_kills_in_a_week() {
    BUG.set(Bug::None);
    Conformance::of::<Tracker>(TrackerService::default).week(1000, 1000).assert();
}
