//! `threads`, `thread`, `reply` and `set-status`.

use std::time::Duration;

use connector_core::id::{LinkId, NoteId};
use http::Method;
use serde_json::{Value, json};

use super::accounts::read_input;
use super::args::{Reply, SetStatus, ThreadFilter, Undelivered};
use super::client::Client;
use super::output::{Output, at, author, clean_text, each, field, table};
use super::{CliError, Done};

/// How often is looked whether something has reached the service.
const INTERVAL: Duration = Duration::from_millis(100);

pub(super) async fn list(client: &Client, filter: &ThreadFilter, output: Output) -> Done {
    let query: Vec<_> = [
        ("user", &filter.user),
        ("connection", &filter.connection),
        ("channel", &filter.channel),
        ("type", &filter.link_type),
        ("status", &filter.status),
        ("q", &filter.search),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value.as_deref()?)))
    .chain(filter.archived.then_some(("archived", "true")))
    .collect();
    let threads = client.list(&["threads"], &query, filter.limit).await?;
    output.print(&json!(threads), |_| {
        if threads.is_empty() {
            return "There are no such threads".to_owned();
        }
        let rows = threads.iter().map(|thread| {
            let links: Vec<_> = each(thread, "/links").collect();
            let of_links = |pointer| {
                let fields = links.iter().map(|link| field(link, pointer));
                fields.collect::<Vec<_>>().join(", ")
            };
            vec![
                field(thread, "/id"),
                of_links("/type"),
                of_links("/status"),
                field(thread, "/updated_at"),
                field(thread, "/title"),
            ]
        });
        table(&["ID", "TYPE", "STATUS", "CHANGED", "TITLE"], &rows.collect::<Vec<_>>())
    })
}

pub(super) async fn show(client: &Client, id: &str, user: Option<&str>, output: Output) -> Done {
    let query: Vec<_> = user.map(|user| ("user", user)).into_iter().collect();
    let thread = client.get(&["threads", id], &query).await?;
    output.print(&thread, thread_text)
}

fn thread_text(thread: &Value) -> String {
    let mut shown = format!("{}  {}\n", field(thread, "/id"), field(thread, "/title"));
    for link in each(thread, "/links") {
        let mut line = |heading: &str, text: String| {
            if !text.is_empty() {
                shown.push_str(&format!("  {heading}: {text}\n"));
            }
        };
        line("Link", format!("{} ({})", field(link, "/id"), field(link, "/type")));
        line("Status", field(link, "/status"));
        line("Channel", field(link, "/channel"));
        line("Author", author(at(link, "/author")));
        line("Assignee", author(at(link, "/assignee")));
        line("Created", field(link, "/occurred_at"));
        line("URL", field(link, "/url"));
        line("Delivery", delivery(link));
    }
    for note in each(thread, "/notes") {
        let state = match delivery(note) {
            state if state.is_empty() || state == "delivered" => String::new(),
            state => format!("  [{state}]"),
        };
        shown.push_str(&format!(
            "\n{}  {}  {}{state}\n",
            field(note, "/id"),
            author(at(note, "/author")),
            field(note, "/occurred_at")
        ));
        for line in clean_text(at(note, "/content").as_str().unwrap_or_default()).lines() {
            shown.push_str(format!("    {line}").trim_end());
            shown.push('\n');
        }
        for (index, attachment) in each(note, "/attachments").enumerate() {
            let about: Vec<_> = [field(attachment, "/media_type"), size(at(attachment, "/size"))]
                .into_iter()
                .filter(|text| !text.is_empty())
                .collect();
            let about = if about.is_empty() { String::new() } else { format!(" ({})", about.join(", ")) };
            let url = field(note, &format!("/attachment_urls/{index}"));
            shown.push_str(&format!("    [{index}] {}{about}  {url}\n", field(attachment, "/name")));
        }
        let reactions = each(note, "/reactions");
        let reactions: Vec<_> = reactions
            .map(|reaction| format!("{} {}", emoji(at(reaction, "/emoji")), author(at(reaction, "/actor"))))
            .collect();
        if !reactions.is_empty() {
            shown.push_str(&format!("    ({})\n", reactions.join(", ")));
        }
    }
    shown
}

/// A number of bytes.
fn size(bytes: &Value) -> String {
    bytes.as_u64().map_or_else(String::new, |bytes| format!("{bytes} bytes"))
}

fn emoji(emoji: &Value) -> String {
    match emoji.get("custom") {
        Some(_) => format!(":{}:", field(emoji, "/custom")),
        None => field(emoji, ""),
    }
}

/// How far the way to the service is, with the reason if it failed.
fn delivery(thing: &Value) -> String {
    match field(thing, "/delivery/reason") {
        reason if reason.is_empty() => field(thing, "/delivery/state"),
        reason => format!("{}: {reason}", field(thing, "/delivery/state")),
    }
}

pub(super) async fn reply(client: &Client, reply: Reply, output: Output) -> Done {
    let text = if reply.text == "-" { read_input()? } else { reply.text };
    let mut files = Vec::new();
    for path in &reply.attach {
        let file = client.upload(path, &reply.user).await?;
        files.push(field(&file, "/id"));
    }
    let mut body = json!({"user": reply.user, "content": text, "attachments": files});
    if let (Some(link), Some(body)) = (reply.link, body.as_object_mut()) {
        body.insert("link".to_owned(), json!(link));
    }
    let note = client.post(&["threads", &reply.thread, "notes"], body).await?;
    arrive(client, "notes", note, !reply.no_wait, output, &reply.user).await
}

pub(super) async fn set_status(client: &Client, change: SetStatus, output: Output) -> Done {
    let body = json!({"user": change.user, "status": change.status});
    let link = client.request(Method::PATCH, &["links", &change.link], &[], Some(body)).await?;
    arrive(client, "links", link, !change.no_wait, output, &change.user).await
}

pub(super) async fn retry(client: &Client, undelivered: Undelivered, output: Output) -> Done {
    let (kind, user) = (kind_of(&undelivered.id)?, undelivered.user);
    let thing = client.post(&[kind, &undelivered.id, "retry"], json!({ "user": user })).await?;
    arrive(client, kind, thing, !undelivered.no_wait, output, &user).await
}

pub(super) async fn discard(client: &Client, undelivered: &Undelivered) -> Done {
    let path = [kind_of(&undelivered.id)?, &undelivered.id];
    client.request(Method::DELETE, &path, &[("user", &undelivered.user)], None).await?;
    Ok(())
}

/// Where the API has a thing that can be delivered.
fn kind_of(id: &str) -> Result<&'static str, CliError> {
    if id.parse::<NoteId>().is_ok() {
        return Ok("notes");
    }
    if id.parse::<LinkId>().is_ok() {
        return Ok("links");
    }
    Err(CliError::Usage(format!("`{id}` is no id of a note or link: see those of a thread with `connectors thread`")))
}

/// Waits until what a user did is at the service, or is not and why, and prints the thing as it is then.
pub(super) async fn arrive(
    client: &Client,
    kind: &str,
    mut thing: Value,
    wait: bool,
    output: Output,
    user: &str,
) -> Done {
    let id = field(&thing, "/id");
    let on_its_way = |thing: &Value| matches!(field(thing, "/delivery/state").as_str(), "pending" | "sending");
    while wait && on_its_way(&thing) {
        tokio::time::sleep(INTERVAL).await;
        thing = client.get(&[kind, &id], &[]).await?;
    }
    let state = delivery(&thing);
    output.print(&thing, |_| match field(&thing, "/delivery/state").as_str() {
        "" => format!("{id} is stored here. {user} has no connection that carries it to the service"),
        "delivered" => format!("{id} is at the service"),
        _ => format!("{id} is {state}"),
    })?;
    match field(&thing, "/delivery/state").as_str() {
        "failed" => {
            Err(CliError::Failed(format!("{id} did not reach the service: {}", field(&thing, "/delivery/reason"))))
        }
        "unknown" => Err(CliError::Failed(format!(
            "whether {id} reached the service is unknown: look there, then retry or discard it"
        ))),
        _ => Ok(()),
    }
}
