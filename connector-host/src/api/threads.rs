use std::collections::{BTreeMap, HashSet};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, patch, post, put};
use axum::{Json, Router};
use connector_core::engine::{LinkQuery, LinkRow, NoteRow, UserThreadRow};
use connector_core::id::{ChannelId, ConnectionId, LinkId, LinkTypeId, StatusId, ThreadId, UserId};
use connector_core::model::{Actor, Contact, ContactChanges, Recipient};
use connector_core::runtime::{Compose, NewUserNote};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::{Body, Page, Query, limit};
use super::links::view as link_view;
use super::notes::view as note_view;
use super::problem::{Answer, Problem};
use super::schedules::view as schedule_view;
use crate::host::Host;

/// Links of a thread that are shown.
const MAX_LINKS: usize = 1_000;

/// Connections that are read at once.
const CONNECTIONS: usize = 1_000;

/// Links that are read at once for a page of threads.
const BATCH: usize = 200;

/// Stands between the time and the link in the position of a page.
const POSITION_SEPARATOR: char = '~';

pub(super) fn routes() -> Router<Host> {
    Router::new()
        .route("/threads", get(list).post(compose))
        .route("/threads/{id}", get(show))
        .route("/threads/{id}/notes", post(create_note))
        .route("/threads/{id}/read", put(read))
        .route("/threads/{id}/todo", put(todo))
        .route("/threads/{id}/contacts", patch(contacts))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    user: Option<UserId>,
    connection: Option<ConnectionId>,
    channel: Option<ChannelId>,
    #[serde(rename = "type")]
    link_type: Option<String>,
    status: Option<String>,
    q: Option<String>,
    #[serde(default)]
    archived: bool,
    after: Option<String>,
    limit: Option<usize>,
}

/// The connections whose links a request sees; none for all. A user sees what their own have synced (R8.3).
pub(super) async fn visible(
    host: &Host,
    user: Option<&UserId>,
    connection: Option<ConnectionId>,
) -> Answer<Option<Vec<ConnectionId>>> {
    if let Some(id) = connection {
        let row = host.runtime().connection(id).await?;
        if user.is_some_and(|user| *user != row.owner) {
            return Err(Problem::not_found(format!("there is no connection {id}")));
        }
        return Ok(Some(vec![id]));
    }
    let Some(user) = user else { return Ok(None) };
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let rows = host.engine().connections(Some(user.clone()), None, after, CONNECTIONS).await?;
        all.extend(rows.iter().map(|row| row.id));
        after = rows.last().map(|row| row.id);
        if rows.len() < CONNECTIONS {
            return Ok(Some(all));
        }
    }
}

fn read_position(text: &str) -> Option<(Timestamp, LinkId)> {
    let (at, link) = text.split_once(POSITION_SEPARATOR)?;
    Some((at.parse().ok()?, link.parse().ok()?))
}

fn position(row: &LinkRow) -> String {
    format!("{}{POSITION_SEPARATOR}{}", row.link.updated_at, row.id())
}

/// Threads by their newest link that fits, newest first.
async fn list(State(host): State<Host>, Query(asked): Query<ListQuery>) -> Answer<Json<Page<Value>>> {
    let limit = limit(asked.limit)?;
    let mut query = LinkQuery::default();
    query.connections = visible(&host, asked.user.as_ref(), asked.connection).await?;
    query.channel = asked.channel;
    query.link_type = asked.link_type;
    query.status = asked.status;
    query.text = asked.q.filter(|text| !text.is_empty());
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
        let rows = host.engine().links(query.clone()).await?;
        let more = rows.len() == query.limit;
        query.after = rows.last().map(|row| (row.link.updated_at, row.id()));
        for row in rows {
            if !seen.insert(row.link.thread) {
                continue;
            }
            // A thread with a newer link was in an earlier page.
            if begins_within && !is_newest(&host, &query, &row).await? {
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
    let Page { items: newest, next } = Page::of(newest, limit, position);
    let threads: Vec<_> = newest.iter().map(|row| row.link.thread).collect();
    let marks = match &asked.user {
        Some(user) => host.engine().user_threads(user.clone(), threads).await?,
        None => vec![None; threads.len()],
    };
    let mut items = Vec::with_capacity(newest.len());
    for (row, marks) in newest.iter().zip(marks) {
        let mut all = LinkQuery::default();
        all.thread = Some(row.link.thread);
        all.connections.clone_from(&query.connections);
        all.archived = asked.archived;
        all.limit = MAX_LINKS;
        let links = once_each(host.engine().links(all).await?);
        let mut shown = json!({
            "id": row.link.thread,
            "title": row.link.title,
            "preview": row.link.preview,
            "updated_at": row.link.updated_at,
            "links": links.iter().map(|(link, seen_by)| link_view(link, seen_by)).collect::<Vec<_>>(),
        });
        if let (Some(user), Some(shown)) = (&asked.user, shown.as_object_mut()) {
            shown.insert("marks".to_owned(), marks_view(user, marks.as_ref()));
        }
        items.push(shown);
    }
    Ok(Json(Page { items, next }))
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

fn marks_view(user: &UserId, marks: Option<&UserThreadRow>) -> Value {
    json!({
        "user": user,
        "unread": marks.is_some_and(|marks| marks.unread),
        "todo": marks.is_some_and(|marks| marks.todo),
        "todo_date": marks.and_then(|marks| marks.todo_date),
        "archived": marks.is_some_and(|marks| marks.archived),
    })
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ShowQuery {
    user: Option<UserId>,
    archived: bool,
}

async fn show(State(host): State<Host>, Path(id): Path<String>, Query(query): Query<ShowQuery>) -> Answer<Json<Value>> {
    Ok(Json(view(&host, id.parse()?, query.user.as_ref(), query.archived).await?))
}

/// A whole thread as a user sees it, or as all do together.
async fn view(host: &Host, asked: ThreadId, user: Option<&UserId>, archived: bool) -> Answer<Value> {
    let engine = host.engine();
    let thread = engine.current_thread(asked).await?;
    let mut query = LinkQuery::default();
    query.thread = Some(thread);
    query.connections = visible(host, user, None).await?;
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
    let mut contacts: Vec<&Contact> = Vec::new();
    for contact in links.iter().flat_map(|(row, _)| &row.link.contacts) {
        if !contacts.contains(&contact) {
            contacts.push(contact);
        }
    }
    let schedules =
        links.iter().flat_map(|(row, _)| row.link.schedules.iter().map(|schedule| schedule_view(row.id(), schedule)));
    let mut shown = json!({
        "id": thread,
        "title": links.iter().find_map(|(row, _)| row.link.title.as_ref()),
        "updated_at": links.iter().map(|(row, _)| row.link.updated_at).max(),
        "schedules": schedules.collect::<Vec<_>>(),
        "contacts": contacts,
        "links": links.iter().map(|(row, seen_by)| link_view(row, seen_by)).collect::<Vec<_>>(),
        "notes": notes.iter().map(note_view).collect::<Vec<_>>(),
    });
    if let (Some(user), Some(shown)) = (user, shown.as_object_mut()) {
        let marks = engine.user_threads(user.clone(), vec![thread]).await?.pop().flatten();
        shown.insert("marks".to_owned(), marks_view(user, marks.as_ref()));
    }
    Ok(shown)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewThread {
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
}

async fn compose(State(host): State<Host>, Body(new): Body<NewThread>) -> Answer<(StatusCode, Json<Value>)> {
    let connection = host.runtime().connection(new.connection).await?;
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
    };
    let link = host.runtime().compose(compose).await?;
    let shown = view(&host, link.thread, Some(&new.user), false).await?;
    Ok((StatusCode::CREATED, Json(shown)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewNote {
    user: UserId,
    content: String,
    link: Option<LinkId>,
    #[serde(default)]
    recipients: Vec<Recipient>,
}

async fn create_note(
    State(host): State<Host>,
    Path(id): Path<String>,
    Body(new): Body<NewNote>,
) -> Answer<(StatusCode, Json<Value>)> {
    let new = NewUserNote { user: new.user, content: new.content, link: new.link, recipients: new.recipients };
    let note = host.runtime().create_note(id.parse()?, new).await?;
    Ok((StatusCode::CREATED, Json(super::notes::shown(&host, note.id).await?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    user: UserId,
    #[serde(default)]
    unread: bool,
}

async fn read(State(host): State<Host>, Path(id): Path<String>, Body(body): Body<Read>) -> Answer<Json<Value>> {
    let marks = host.runtime().set_read(id.parse()?, &body.user, body.unread).await?;
    Ok(Json(marks_view(&body.user, Some(&marks))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToDo {
    user: UserId,
    todo: bool,
    date: Option<Date>,
}

async fn todo(State(host): State<Host>, Path(id): Path<String>, Body(body): Body<ToDo>) -> Answer<Json<Value>> {
    let marks = host.runtime().set_to_do(id.parse()?, &body.user, body.todo, body.date).await?;
    Ok(Json(marks_view(&body.user, Some(&marks))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ContactsPatch {
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

async fn contacts(
    State(host): State<Host>,
    Path(id): Path<String>,
    Body(body): Body<ContactsPatch>,
) -> Answer<Json<Value>> {
    let id: ThreadId = id.parse()?;
    let mut query = LinkQuery::default();
    query.thread = Some(host.engine().current_thread(id).await?);
    query.limit = MAX_LINKS;
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
    Ok(Json(json!({"contacts": link.contacts})))
}
