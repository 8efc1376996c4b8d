//! `tasks` and `task`: the queue and its dead letters.

use http::Method;
use serde_json::{Value, json};

use super::Done;
use super::client::Client;
use super::output::{Output, each, field, table};

pub(super) async fn list(client: &Client, dead: bool, connection: Option<&str>, output: Output) -> Done {
    let mut query = Vec::new();
    query.extend(dead.then_some(("state", "dead")));
    query.extend(connection.map(|connection| ("connection", connection)));
    let tasks = client.list(&["tasks"], &query, None).await?;
    output.print(&json!(tasks), |_| {
        if tasks.is_empty() {
            return if dead { "There are no dead letters" } else { "There are no tasks" }.to_owned();
        }
        table(
            &["ID", "CONNECTION", "DOES", "CHANNEL", "STATE", "AT", "TRIED", "LAST ERROR"],
            &tasks.iter().map(row).collect::<Vec<_>>(),
        )
    })
}

fn row(task: &Value) -> Vec<String> {
    let when = match field(task, "/died_at") {
        died if died.is_empty() => field(task, "/run_at"),
        died => died,
    };
    let error = each(task, "/errors").last();
    let error = error.map(|error| format!("{}: {}", field(error, "/kind"), field(error, "/message")));
    vec![
        field(task, "/id"),
        field(task, "/connection"),
        field(task, "/does"),
        field(task, "/channel"),
        field(task, "/state"),
        when,
        field(task, "/attempt"),
        error.unwrap_or_default(),
    ]
}

pub(super) async fn retry(client: &Client, id: &str, output: Output) -> Done {
    let task = client.post(&["tasks", id, "retry"], Value::Null).await?;
    output.print(&task, |task| format!("{} runs again: {}", field(task, "/id"), field(task, "/does")))
}

pub(super) async fn discard(client: &Client, id: &str) -> Done {
    client.request(Method::DELETE, &["tasks", id], &[], None).await?;
    Ok(())
}
