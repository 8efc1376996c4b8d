use std::collections::{BTreeMap, HashSet};

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, patch_with, post_with, put_with};
use axum::Json;
use axum::extract::State;
use connector_core::engine::search::{SearchHit, SearchPlace, SearchQuery, SearchRank, Terms};
use connector_core::engine::{LinkQuery, LinkRow, NoteRow, UserThreadRow};
use connector_core::id::{ChannelId, ConnectionId, FileId, LinkId, LinkTypeId, StatusId, ThreadId, UserId};
use connector_core::model::{Actor, Contact, ContactChanges, Recipient};
use connector_core::runtime::{Compose, NewUserNote};
use jiff::Timestamp;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::{Caller, Identity, connections_of, no_such_connection};
use super::extract::{Body, ById, Created, Page, Path, Query, limit};
use super::links::LinkView;
use super::notes::NoteView;
use super::openapi::op;
use super::problem::{Answer, Problem};
use super::schedules::{NewSchedule, ScheduleView};
use crate::host::Host;

/// Links of a thread that are shown.
const MAX_LINKS: usize = 1_000;

/// Characters of a search.
const MAX_SEARCH: usize = 1_000;

/// Links that are read at once for a page of threads.
const BATCH: usize = 200;

/// Stands between the time and the link in the position of a page.
const POSITION_SEPARATOR: char = '~';

pub(super) fn routes() -> ApiRouter<Host> {
    ApiRouter::new()
        .api_route(
            "/threads",
            get_with(
                list,
                op(
                    "listThreads",
                    "Threads, the one with the newest change first; with `q`, the one that fits best",
                    &[404],
                ),
            )
            .post_with(compose, op("createThread", "Compose a new item at the service", &[404, 409])),
        )
        .api_route("/threads/{id}", get_with(show, op("getThread", "A thread with its links and notes", &[])))
        .api_route("/threads/{id}/notes", post_with(create_note, op("createNote", "Write a note in a thread", &[409])))
        .api_route("/threads/{id}/read", put_with(read, op("setRead", "Mark a thread read or unread", &[409])))
        .api_route("/threads/{id}/todo", put_with(todo, op("setToDo", "Make a thread a to-do, or finish it", &[409])))
        .api_route(
            "/threads/{id}/contacts",
            patch_with(contacts, op("changeContacts", "Change who takes part in a thread", &[409])),
        )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// As this user sees them.
    user: Option<UserId>,
    connection: Option<ConnectionId>,
    channel: Option<ChannelId>,
    #[serde(rename = "type")]
    link_type: Option<String>,
    status: Option<String>,
    /// Words that are in the title, the preview or a note, in any case and Unicode normal form. The title is also found
    /// by three or more characters of a word. The threads come in the order of how well they fit: words of the title
    /// first, then parts of its words, then other text; among those that fit equally, the newest change first.
    #[schemars(length(max = 1_000))]
    q: Option<String>,
    /// Also what is archived.
    #[serde(default)]
    archived: bool,
    after: Option<String>,
    #[schemars(range(min = 1, max = 1_000))]
    limit: Option<usize>,
}

/// The connections whose links a list shows; none for all.
pub(super) async fn listed(
    host: &Host,
    caller: &Caller,
    user: Option<&UserId>,
    connection: Option<ConnectionId>,
) -> Answer<Option<Vec<ConnectionId>>> {
    let Some(id) = connection else { return connections_of(host, user).await };
    let row = caller.connection(host, id).await?;
    match user {
        Some(user) if *user != row.owner => Err(no_such_connection(id)),
        _ => Ok(Some(vec![id])),
    }
}

fn read_position(text: &str) -> Option<(Timestamp, LinkId)> {
    let (at, link) = text.split_once(POSITION_SEPARATOR)?;
    Some((at.parse().ok()?, link.parse().ok()?))
}

fn position(row: &LinkRow) -> String {
    format!("{}{POSITION_SEPARATOR}{}", row.link.updated_at, row.id())
}

fn read_place(text: &str) -> Option<SearchPlace> {
    let (rank, position) = text.split_once(POSITION_SEPARATOR)?;
    let (updated_at, link) = read_position(position)?;
    Some(SearchPlace { rank: SearchRank::from_number(rank.parse().ok()?)?, updated_at, link })
}

fn place(hit: &SearchHit) -> String {
    format!("{}{POSITION_SEPARATOR}{}", hit.rank as u8, position(&hit.row))
}

/// Threads by how well they fit a search, else by their newest link that fits.
async fn list(
    State(host): State<Host>,
    caller: Caller,
    identity: Identity,
    Query(asked): Query<ListQuery>,
) -> Answer<Json<Page<ThreadSummary>>> {
    let limit = limit(asked.limit)?;
    let user = caller.view_of(asked.user.clone())?;
    let connections = listed(&host, &caller, user.as_ref(), asked.connection).await?;
    let archived = asked.archived;
    let page = if asked.q.as_ref().is_some_and(|text| !text.is_empty()) {
        let _turn = host.limits().search(&caller, &identity).await;
        best(&host, connections.clone(), asked, limit).await?
    } else {
        newest(&host, &caller, &identity, connections.clone(), asked, limit).await?
    };
    let Page { items: rows, next } = page;
    let threads: Vec<_> = rows.iter().map(|row| row.link.thread).collect();
    let marks = match &user {
        Some(user) => host.engine().user_threads(user.clone(), threads).await?,
        None => vec![None; threads.len()],
    };
    let mut items = Vec::with_capacity(rows.len());
    for (row, marks) in rows.into_iter().zip(marks) {
        let mut all = LinkQuery::default();
        all.thread = Some(row.link.thread);
        all.connections.clone_from(&connections);
        all.archived = archived;
        all.limit = MAX_LINKS;
        let links = once_each(host.engine().links(all).await?);
        items.push(ThreadSummary {
            id: row.link.thread,
            title: row.link.title,
            preview: row.link.preview,
            updated_at: row.link.updated_at,
            links: links.into_iter().map(|(link, seen_by)| LinkView::new(link, seen_by)).collect(),
            marks: user.as_ref().map(|user| Marks::new(user, marks.as_ref())),
        });
    }
    Ok(Json(Page { items, next }))
}

/// A page of the threads with these words, by the link that fits best.
async fn best(
    host: &Host,
    connections: Option<Vec<ConnectionId>>,
    asked: ListQuery,
    limit: usize,
) -> Answer<Page<LinkRow>> {
    let text = asked.q.unwrap_or_default();
    if text.chars().count() > MAX_SEARCH || Terms::count(&text) > SearchQuery::MAX_WORDS {
        let most = SearchQuery::MAX_WORDS;
        return Err(Problem::field("q", format!("at most {most} words and {MAX_SEARCH} characters: search for fewer")));
    }
    let mut query = SearchQuery::new(text, limit + 1);
    query.connections = connections;
    query.channel = asked.channel;
    query.link_type = asked.link_type;
    query.status = asked.status;
    query.archived = asked.archived;
    let after = asked
        .after
        .as_deref()
        .map(|text| read_place(text).ok_or_else(|| Problem::field("after", "take `next` of the page before")));
    query.after = after.transpose()?;
    let Page { items, next } = Page::of(host.engine().search(query).await?, limit, place);
    Ok(Page { items: items.into_iter().map(|hit| hit.row).collect(), next })
}

/// A page of the threads by their newest link that fits.
async fn newest(
    host: &Host,
    caller: &Caller,
    identity: &Identity,
    connections: Option<Vec<ConnectionId>>,
    asked: ListQuery,
    limit: usize,
) -> Answer<Page<LinkRow>> {
    let mut query = LinkQuery::default();
    query.connections = connections;
    query.channel = asked.channel;
    query.link_type = asked.link_type;
    query.status = asked.status;
    query.archived = asked.archived;
    query.limit = BATCH.min(limit + 1);
    let after = asked
        .after
        .as_deref()
        .map(|text| read_position(text).ok_or_else(|| Problem::field("after", "take `next` of the page before")));
    query.after = after.transpose()?;
    let begins_within = query.after.is_some();
    let (mut newest, mut seen) = (Vec::new(), HashSet::new());
    'pages: loop {
        let rows = {
            let _turn = host.limits().search(caller, identity).await;
            host.engine().links(query.clone()).await?
        };
        let more = rows.len() == query.limit;
        query.after = rows.last().map(|row| (row.link.updated_at, row.id()));
        for row in rows {
            if !seen.insert(row.link.thread) {
                continue;
            }
            // A thread with a newer link was in an earlier page.
            if begins_within && !is_newest(host, &query, &row).await? {
                continue;
            }
            newest.push(row);
            if newest.len() > limit {
                break 'pages;
            }
        }
        if !more {
            break;
        }
    }
    Ok(Page::of(newest, limit, position))
}

/// A thread in a list.
#[derive(Serialize, JsonSchema)]
struct ThreadSummary {
    id: ThreadId,
    title: Option<String>,
    preview: Option<String>,
    updated_at: Timestamp,
    links: Vec<LinkView>,
    /// Where the request says whose view it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    marks: Option<Marks>,
}

/// A thread with all that is in it.
#[derive(Serialize, JsonSchema)]
struct ThreadView {
    id: ThreadId,
    title: Option<String>,
    updated_at: Option<Timestamp>,
    schedules: Vec<ScheduleView>,
    contacts: Vec<Contact>,
    links: Vec<LinkView>,
    notes: Vec<NoteView>,
    /// Where the request says whose view it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    marks: Option<Marks>,
}

/// What a user has done to a thread.
#[derive(Serialize, JsonSchema)]
struct Marks {
    user: UserId,
    unread: bool,
    todo: bool,
    todo_date: Option<Date>,
    archived: bool,
}

impl Marks {
    fn new(user: &UserId, marks: Option<&UserThreadRow>) -> Self {
        Self {
            user: user.clone(),
            unread: marks.is_some_and(|marks| marks.unread),
            todo: marks.is_some_and(|marks| marks.todo),
            todo_date: marks.and_then(|marks| marks.todo_date),
            archived: marks.is_some_and(|marks| marks.archived),
        }
    }
}

/// Whether a link is the first of its thread in the order of a list.
async fn is_newest(host: &Host, query: &LinkQuery, row: &LinkRow) -> Answer<bool> {
    let mut within = query.clone();
    within.thread = Some(row.link.thread);
    within.after = None;
    within.limit = 1;
    let first = host.engine().links(within).await?;
    Ok(first.first().is_some_and(|first| first.id() == row.id()))
}

/// The links of a thread, the same item once, with all connections that see it; in the order given.
fn once_each(rows: Vec<LinkRow>) -> Vec<(LinkRow, Vec<ConnectionId>)> {
    let mut once: Vec<(LinkRow, Vec<ConnectionId>)> = Vec::new();
    for row in rows {
        match once.iter_mut().find(|(first, _)| first.link.source == row.link.source) {
            Some((first, seen_by)) => {
                seen_by.push(row.connection);
                let better = |row: &LinkRow| (!row.link.archived, row.link.updated_at, std::cmp::Reverse(row.id()));
                if better(&row) > better(first) {
                    *first = row;
                }
            }
            None => {
                let connection = row.connection;
                once.push((row, vec![connection]));
            }
        }
    }
    once
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct ShowQuery {
    user: Option<UserId>,
    archived: bool,
}

async fn show(
    State(host): State<Host>,
    caller: Caller,
    Path(ById { id }): Path<ById<ThreadId>>,
    Query(query): Query<ShowQuery>,
) -> Answer<Json<ThreadView>> {
    let user = caller.view_of(query.user)?;
    Ok(Json(view(&host, id, user.as_ref(), query.archived).await?))
}

/// A whole thread as a user sees it, or as all do together.
async fn view(host: &Host, asked: ThreadId, user: Option<&UserId>, archived: bool) -> Answer<ThreadView> {
    let engine = host.engine();
    let thread = engine.current_thread(asked).await?;
    let mut query = LinkQuery::default();
    query.thread = Some(thread);
    query.connections = connections_of(host, user).await?;
    query.archived = true;
    query.limit = MAX_LINKS;
    let mut rows = engine.links(query).await?;
    if rows.is_empty() {
        return Err(Problem::not_found(format!("there is no thread {asked}")));
    }
    rows.sort_by_key(|row| (row.link.occurred_at, row.id()));
    let mut notes: BTreeMap<_, NoteRow> = BTreeMap::new();
    for row in &rows {
        for note in engine.notes_of_link(row.id()).await?.into_iter().filter(|note| archived || !note.note.archived) {
            // A note that is not at the service yet is like no other.
            let identity = match &note.note.key {
                Some(key) => (row.link.source.clone(), Some(key.clone()), None),
                None => (row.link.source.clone(), None, Some(note.id())),
            };
            let better =
                |note: &NoteRow| (!note.note.archived, note.note.written_by.is_some(), std::cmp::Reverse(note.id()));
            match notes.get(&identity) {
                Some(known) if better(known) >= better(&note) => {}
                _ => {
                    notes.insert(identity, note);
                }
            }
        }
    }
    let mut notes: Vec<_> = notes.into_values().collect();
    notes.sort_by_key(|row| (row.note.occurred_at, row.id()));
    let links = once_each(rows);
    let mut contacts: Vec<Contact> = Vec::new();
    for contact in links.iter().flat_map(|(row, _)| &row.link.contacts) {
        if !contacts.contains(contact) {
            contacts.push(contact.clone());
        }
    }
    let mut schedules = Vec::new();
    for (row, _) in &links {
        let own = row.link.schedules.iter().cloned();
        schedules.extend(own.map(|schedule| ScheduleView::new(row.id(), schedule)));
    }
    let marks = match user {
        Some(user) => {
            let marks = engine.user_threads(user.clone(), vec![thread]).await?.pop().flatten();
            Some(Marks::new(user, marks.as_ref()))
        }
        None => None,
    };
    Ok(ThreadView {
        id: thread,
        title: links.iter().find_map(|(row, _)| row.link.title.clone()),
        updated_at: links.iter().map(|(row, _)| row.link.updated_at).max(),
        schedules,
        contacts,
        notes: notes.into_iter().map(NoteView::from).collect(),
        marks,
        links: links.into_iter().map(|(row, seen_by)| LinkView::new(row, seen_by)).collect(),
    })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewThread {
    /// Who acts.
    user: UserId,
    connection: ConnectionId,
    channel: Option<ChannelId>,
    #[serde(rename = "type")]
    link_type: LinkTypeId,
    status: Option<StatusId>,
    title: String,
    content: Option<String>,
    #[serde(default)]
    contacts: Vec<Contact>,
    #[serde(default)]
    invite_emails: Vec<String>,
    /// Files that the user has uploaded.
    #[serde(default)]
    attachments: Vec<FileId>,
    /// When it takes place, for types that have schedules: one, with its recurrence.
    #[serde(default)]
    schedules: Vec<NewSchedule>,
}

async fn compose(State(host): State<Host>, caller: Caller, Body(new): Body<NewThread>) -> Answer<Created<ThreadView>> {
    caller.acts_as(&new.user)?;
    let connection = caller.connection(&host, new.connection).await?;
    let connector = host.runtime().registry().get(connection.connector.as_str());
    let roles = connector
        .and_then(|connector| connector.declaration.link_type(new.link_type.as_str()))
        .map(|declared| declared.contact_roles);
    let default_role = roles.and_then(|roles| roles.iter().find(|role| role.default)).map_or("", |role| role.id);
    let invited = new.invite_emails.into_iter().map(|email| Contact::new(Actor::new(email.clone()).email(email)));
    let recipients = new.contacts.into_iter().chain(invited).map(|contact| Recipient {
        role: contact.role.unwrap_or_else(|| default_role.to_owned()),
        actor: contact.actor,
    });
    let compose = Compose {
        user: new.user.clone(),
        connection: new.connection,
        channel: new.channel,
        link_type: new.link_type,
        status: new.status,
        title: new.title,
        content: new.content,
        recipients: recipients.collect(),
        attachments: new.attachments,
        schedules: new.schedules.into_iter().map(Into::into).collect(),
    };
    let link = host.runtime().compose(compose).await?;
    Ok(Created(view(&host, link.thread, Some(&new.user), false).await?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewNote {
    /// Who acts.
    user: UserId,
    /// As markdown. It may be empty where there are attachments.
    #[serde(default)]
    content: String,
    /// The link that it answers; else the newest that takes replies.
    link: Option<LinkId>,
    #[serde(default)]
    recipients: Vec<Recipient>,
    /// Files that the user has uploaded.
    #[serde(default)]
    attachments: Vec<FileId>,
}

async fn create_note(
    State(host): State<Host>,
    caller: Caller,
    Path(ById { id }): Path<ById<ThreadId>>,
    Body(new): Body<NewNote>,
) -> Answer<Created<NoteView>> {
    caller.acts_as(&new.user)?;
    caller.thread(&host, id).await?;
    if let Some(link) = new.link {
        caller.link(&host, link).await?;
    }
    let new = NewUserNote {
        user: new.user,
        content: new.content,
        link: new.link,
        recipients: new.recipients,
        attachments: new.attachments,
    };
    let note = host.runtime().create_note(id, new).await?;
    Ok(Created(super::notes::shown(&host, note.id).await?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReadMark {
    /// Who acts.
    user: UserId,
    #[serde(default)]
    unread: bool,
}

async fn read(
    State(host): State<Host>,
    caller: Caller,
    Path(ById { id }): Path<ById<ThreadId>>,
    Body(body): Body<ReadMark>,
) -> Answer<Json<Marks>> {
    caller.acts_as(&body.user)?;
    caller.thread(&host, id).await?;
    let marks = host.runtime().set_read(id, &body.user, body.unread).await?;
    Ok(Json(Marks::new(&body.user, Some(&marks))))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ToDoMark {
    /// Who acts.
    user: UserId,
    todo: bool,
    date: Option<Date>,
}

async fn todo(
    State(host): State<Host>,
    caller: Caller,
    Path(ById { id }): Path<ById<ThreadId>>,
    Body(body): Body<ToDoMark>,
) -> Answer<Json<Marks>> {
    caller.acts_as(&body.user)?;
    caller.thread(&host, id).await?;
    let marks = host.runtime().set_to_do(id, &body.user, body.todo, body.date).await?;
    Ok(Json(Marks::new(&body.user, Some(&marks))))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ContactsPatch {
    /// Who acts.
    user: UserId,
    #[serde(default)]
    add: Vec<Contact>,
    /// Ids of contacts.
    #[serde(default)]
    remove: Vec<String>,
    /// Roles by the ids of contacts.
    #[serde(default)]
    roles: BTreeMap<String, String>,
}

/// Who takes part in a thread now.
#[derive(Serialize, JsonSchema)]
struct ContactsView {
    contacts: Vec<Contact>,
}

async fn contacts(
    State(host): State<Host>,
    caller: Caller,
    Path(ById { id }): Path<ById<ThreadId>>,
    Body(body): Body<ContactsPatch>,
) -> Answer<Json<ContactsView>> {
    caller.acts_as(&body.user)?;
    let mut query = LinkQuery::all(MAX_LINKS);
    query.thread = Some(caller.thread(&host, id).await?);
    query.connections = connections_of(&host, caller.user()).await?;
    let links = host.engine().links(query).await?;
    let known = |id: &str, field: &str| {
        let contact = links.iter().flat_map(|row| &row.link.contacts).find(|contact| contact.actor.id == id);
        contact.cloned().ok_or_else(|| Problem::field(field, format!("`{id}` does not take part in the thread")))
    };
    let removed: Answer<Vec<_>> = body.remove.iter().map(|id| known(id, "remove")).collect();
    let changed: Answer<Vec<_>> =
        body.roles.iter().map(|(id, role)| Ok(known(id, "roles")?.role(role.clone()))).collect();
    let changes = ContactChanges { added: body.add, removed: removed?, changed: changed? };
    let link = host.runtime().change_contacts(id, &body.user, changes).await?;
    Ok(Json(ContactsView { contacts: link.contacts }))
}
