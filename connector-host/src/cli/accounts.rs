//! `connect`, `connections`, `channels`, `enable`, `disable`, `disconnect` and `state`.

use std::io::Read;
use std::time::Duration;

use connector_core::registry::Registry;
use http::Method;
use serde_json::{Map, Value, json};

use super::args::Connect;
use super::client::Client;
use super::output::{self, Output, at, field, table};
use super::{CliError, Done};

/// Longest token that is read from the standard input, in bytes.
const LONGEST_INPUT: u64 = 64 * 1024;

/// How long a user is waited for, which is as long as the link is good for, and then the provider's page; and how often
/// it is looked.
const TIME_TO_AUTHORIZE: Duration = Duration::from_mins(30);
const LOOK_AGAIN: Duration = Duration::from_millis(300);

pub(super) async fn connect(client: &Client, registry: &Registry, args: Connect, output: Output) -> Done {
    let token = token(registry, &args)?;
    let declaration = registry.get(&args.connector).map(|connector| connector.declaration);
    let authorizes = declaration.is_none_or(|declaration| declaration.provider.is_some());
    // Before the user can be sent back to it.
    let callback = client.serve_callback(token.is_none() && authorizes).await?;
    let connection = if let (Some(id), false) = (&args.again, authorizes) {
        let options = options(registry, &args.connector, &args.options)?;
        if options.is_empty() {
            let key = declaration.and_then(|declaration| declaration.key_option);
            return Err(CliError::Usage(match key {
                Some(key) => format!("{} takes a key: give the new one with `--option {key}=-`", args.connector),
                None => format!("{} needs no authorization: give the options that are to change", args.connector),
            }));
        }
        client.request(Method::PATCH, &["connections", id], &[], Some(json!({ "options": options }))).await?
    } else if let Some(id) = &args.again {
        let body = token.map_or_else(|| json!({}), |token| json!({ "token": token }));
        client.post(&["connections", id, "authorize"], body).await?
    } else {
        let options = options(registry, &args.connector, &args.options)?;
        let mut body = json!({"connector": args.connector, "user": args.user, "options": options});
        if let Some(body) = body.as_object_mut() {
            let mut put = |name: &str, value: Option<Value>| {
                body.extend(value.map(|value| (name.to_owned(), value)));
            };
            put("name", args.name.map(Value::from));
            put("workspace", args.workspace.map(Value::from));
            put("history_days", args.history_days.map(Value::from));
            put("token", token.map(Value::from));
            put("scope_groups", Some(args.scope_groups).filter(|groups| !groups.is_empty()).map(Value::from));
        }
        client.post(&["connections"], body).await?
    };
    let connection = if at(&connection, "/authorize_url").is_string() {
        output.print(&connection, |connection| {
            format!("Open this page, and confirm there: {}", field(connection, "/authorize_url"))
        })?;
        if *at(&connection, "/status") == json!("active") {
            // It works as it is, so there is nothing to wait for but the user.
            return Ok(());
        }
        authorized(client, &connection).await?
    } else {
        connection
    };
    drop(callback);
    output.print(&connection, |connection| {
        let id = field(connection, "/id");
        format!(
            "{id}  {} ({}) is connected. See its channels with `connectors channels {id}`",
            field(connection, "/name"),
            field(connection, "/connector"),
        )
    })
}

/// Waits until the user has authorized a connection, or was refused.
async fn authorized(client: &Client, begun: &Value) -> Result<Value, CliError> {
    let id = field(begun, "/id");
    let before = at(begun, "/status_reason").clone();
    let until = tokio::time::Instant::now() + TIME_TO_AUTHORIZE;
    while tokio::time::Instant::now() < until {
        let now = client.get(&["connections", &id], &[]).await?;
        if *at(&now, "/status") == json!("active") {
            return Ok(now);
        }
        let reason = at(&now, "/status_reason");
        if *reason != before && reason.is_string() {
            return Err(CliError::Failed(format!("{id} was not authorized: {}", field(&now, "/status_reason"))));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Err(CliError::Failed(format!("{id} was not authorized in time: run the command once more")))
}

/// The token of the flag, the standard input or the environment. A flag can be seen in the list of
/// processes, so there are the other two.
fn token(registry: &Registry, args: &Connect) -> Result<Option<String>, CliError> {
    let connector = registry.get(&args.connector);
    let takes_one = connector.is_some_and(|connector| connector.declaration.provider.is_some());
    let text = match args.token.as_deref() {
        Some("-") => Some(read_input()?),
        Some(text) => Some(text.to_owned()),
        // One that is there for another connector is none of this one's.
        None => std::env::var("CONNECTORS_TOKEN").ok().filter(|_| takes_one),
    };
    let text = text.map(|text| text.trim().to_owned());
    match text.as_deref() {
        Some("") => Err(CliError::Usage("the token is empty".to_owned())),
        _ => Ok(text),
    }
}

/// All of the standard input.
pub(super) fn read_input() -> Result<String, CliError> {
    let mut text = String::new();
    let read = std::io::stdin().take(LONGEST_INPUT).read_to_string(&mut text);
    read.map_err(|error| CliError::Failed(format!("the standard input cannot be read: {error}")))?;
    Ok(text)
}

/// Options as the schema of the connector wants them: numbers and switches are not texts.
fn options(registry: &Registry, connector: &str, given: &[String]) -> Result<Map<String, Value>, CliError> {
    let schema = registry.get(connector).map(|connector| connector.declaration.options.json_schema());
    let mut options = Map::new();
    for option in given {
        let (name, text) = option
            .split_once('=')
            .ok_or_else(|| CliError::Usage(format!("`{option}` is not an option: write `--option NAME=VALUE`")))?;
        let kind = schema.as_ref().and_then(|schema| schema.pointer(&format!("/properties/{name}/type")));
        let is_text = kind.is_none_or(|kind| match kind {
            Value::Array(kinds) => kinds.contains(&json!("string")),
            kind => kind == "string",
        });
        let read = if text == "-" { Some(read_input()?.trim().to_owned()) } else { None };
        let text = read.as_deref().unwrap_or(text);
        if text.is_empty() && option.ends_with("=-") {
            return Err(CliError::Usage(format!("the standard input has no value for the option `{name}`")));
        }
        let parsed = if is_text { None } else { serde_json::from_str(text).ok() };
        options.insert(name.to_owned(), parsed.unwrap_or_else(|| json!(text)));
    }
    Ok(options)
}

pub(super) async fn connections(client: &Client, user: Option<&str>, output: Output) -> Done {
    let query: Vec<_> = user.map(|user| ("user", user)).into_iter().collect();
    let connections = client.list(&["connections"], &query, None).await?;
    output.print(&json!(connections), |_| {
        if connections.is_empty() {
            return "There are no connections: make one with `connectors connect`".to_owned();
        }
        let rows = connections.iter().map(|connection| {
            let status = match field(connection, "/status_reason") {
                reason if reason.is_empty() => field(connection, "/status"),
                reason => format!("{}: {reason}", field(connection, "/status")),
            };
            vec![
                field(connection, "/id"),
                field(connection, "/connector"),
                field(connection, "/user"),
                field(connection, "/name"),
                status,
            ]
        });
        table(&["ID", "CONNECTOR", "USER", "NAME", "STATUS"], &rows.collect::<Vec<_>>())
    })
}

fn channel_table(channels: &[Value]) -> String {
    let rows = channels.iter().map(|channel| {
        let state = match (field(channel, "/sync/state"), field(channel, "/sync/error")) {
            (state, error) if error.is_empty() => state,
            (state, error) => format!("{state}: {error}"),
        };
        let enabled = match (at(channel, "/enabled").as_bool(), at(channel, "/observe_only").as_bool()) {
            (Some(true), Some(true)) => "to look",
            (Some(true), _) => "yes",
            _ => "no",
        };
        vec![field(channel, "/id"), field(channel, "/name"), enabled.to_owned(), state, field(channel, "/sync/saved")]
    });
    table(&["ID", "NAME", "ENABLED", "SYNC", "SAVED"], &rows.collect::<Vec<_>>())
}

pub(super) async fn channels(client: &Client, connection: &str, output: Output) -> Done {
    let channels = client.list_whole(&["connections", connection, "channels"], &[]).await?;
    output.print(&json!(channels), |_| {
        if channels.is_empty() { "The account has no channels".to_owned() } else { channel_table(&channels) }
    })
}

/// The ids of channels that are given by id or name. The service is asked for those alone that are
/// not known here yet, so that channels can be disabled while it does not answer.
async fn channel_ids(client: &Client, connection: &str, given: &[String]) -> Result<Vec<String>, CliError> {
    let path = ["connections", connection, "channels"];
    let known = client.list_whole(&path, &[("stored", "true")]).await?;
    if let Ok(ids) = find_channels(&known, connection, given) {
        return Ok(ids);
    }
    find_channels(&client.list_whole(&path, &[]).await?, connection, given)
}

fn find_channels(channels: &[Value], connection: &str, given: &[String]) -> Result<Vec<String>, CliError> {
    let mut ids = Vec::new();
    for wanted in given {
        let by = |pointer| channels.iter().filter(move |channel| *at(channel, pointer) == json!(wanted));
        let by_id: Vec<_> = by("/id").collect();
        let matching = if by_id.is_empty() { by("/name").collect() } else { by_id };
        match matching.as_slice() {
            [channel] => ids.push(at(channel, "/id").as_str().unwrap_or_default().to_owned()),
            [] => {
                return Err(CliError::Failed(format!(
                    "{connection} has no channel `{wanted}`: list those it has with `connectors channels {connection}`"
                )));
            }
            several => {
                let ids: Vec<_> = several.iter().map(|channel| field(channel, "/id")).collect();
                let ids = ids.join(", ");
                return Err(CliError::Failed(format!(
                    "several channels are called `{wanted}`: give one of the ids {ids}"
                )));
            }
        }
    }
    Ok(ids)
}

pub(super) async fn enable(
    client: &Client,
    connection: &str,
    channels: &[String],
    observe_only: bool,
    output: Output,
) -> Done {
    change(client, connection, channels, Method::PUT, Some(json!({"observe_only": observe_only})), output).await
}

pub(super) async fn disable(client: &Client, connection: &str, channels: &[String], output: Output) -> Done {
    change(client, connection, channels, Method::DELETE, None, output).await
}

async fn change(
    client: &Client,
    connection: &str,
    channels: &[String],
    method: Method,
    body: Option<Value>,
    output: Output,
) -> Done {
    let mut changed = Vec::new();
    for channel in channel_ids(client, connection, channels).await? {
        let path = ["connections", connection, "channels", &channel];
        changed.push(client.request(method.clone(), &path, &[], body.clone()).await?);
    }
    output.print(&json!(changed), |_| channel_table(&changed))
}

pub(super) async fn disconnect(client: &Client, connection: &str) -> Done {
    client.request(Method::DELETE, &["connections", connection], &[], None).await?;
    Ok(())
}

pub(super) async fn resume(client: &Client, connection: &str, output: Output) -> Done {
    let resumed = client.post(&["connections", connection, "resume"], Value::Null).await?;
    output.print(&resumed, |resumed| format!("{} is {}", field(resumed, "/id"), field(resumed, "/status")))
}

pub(super) async fn work(client: &Client, connection: &str, output: Output) -> Done {
    let work = client.list_whole(&["connections", connection, "work"], &[]).await?;
    output.print(&json!(work), |_| {
        if work.is_empty() {
            return "It declares no work for what is enabled".to_owned();
        }
        let rows = work.iter().map(|work| {
            let state = match field(work, "/error/message") {
                error if error.is_empty() => field(work, "/state"),
                error => format!("{}: {error}", field(work, "/state")),
            };
            let state = match work.pointer("/left_out").and_then(Value::as_u64) {
                None | Some(0) => state,
                Some(1) => format!("{state}; 1 item was left out: {}", field(work, "/last_left_out/0/reason")),
                Some(count) => {
                    format!("{state}; {count} items were left out: {}", field(work, "/last_left_out/0/reason"))
                }
            };
            let columns = ["/kind", "/name", "/channel", "/last_run", "/next_run", "/saved"];
            let mut row: Vec<_> = columns.iter().map(|column| field(work, column)).collect();
            row.push(state);
            row
        });
        table(&["KIND", "NAME", "CHANNEL", "LAST RUN", "NEXT RUN", "SAVED", "STATE"], &rows.collect::<Vec<_>>())
    })
}

/// State is JSON for people too.
pub(super) async fn state(client: &Client, connection: &str, prefix: Option<&str>) -> Done {
    let query: Vec<_> = prefix.map(|prefix| ("prefix", prefix)).into_iter().collect();
    let state = client.get(&["connections", connection, "state"], &query).await?;
    output::json(&state)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bars: an unknown channel is told with what to do.
    #[test]
    fn channels_are_found_by_id_or_by_a_name_that_only_one_has() {
        let channels = [("1", "Inbox"), ("2", "Twice"), ("3", "Twice"), ("Inbox", "Other")];
        let channels = channels.map(|(id, name)| json!({"id": id, "name": name}));
        let find = |wanted: &str| find_channels(&channels, "con_1", &[wanted.to_owned()]);
        assert_eq!(find("1").expect("an id"), ["1"]);
        assert_eq!(find("Other").expect("a name"), ["Inbox"]);
        assert_eq!(find("Inbox").expect("an id goes before a name"), ["Inbox"]);
        let several = find("Twice").expect_err("two have the name").to_string();
        assert!(several.contains("2, 3"), "{several}");
        let unknown = find("None").expect_err("there is none").to_string();
        assert!(unknown.contains("`connectors channels con_1`"), "{unknown}");
    }
}
