//! `hooks`: what services pushed, and handing it over again.

use serde_json::{Value, json};

use super::Done;
use super::client::Client;
use super::output::{Output, field, table};

pub(super) async fn list(
    client: &Client,
    asked: &[(&'static str, Option<String>)],
    limit: usize,
    output: Output,
) -> Done {
    let query: Vec<_> = asked.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    let deliveries = client.list(&["hooks", "deliveries"], &query, Some(limit)).await?;
    output.print(&json!(deliveries), |_| {
        if deliveries.is_empty() {
            return "Nothing was received that is still kept".to_owned();
        }
        table(
            &["ID", "RECEIVED", "CONNECTION", "WEBHOOK", "CHANNEL", "BYTES", "STATE"],
            &deliveries.iter().map(row).collect::<Vec<_>>(),
        )
    })
}

fn row(delivery: &Value) -> Vec<String> {
    ["/id", "/received_at", "/connection", "/callback", "/channel", "/size", "/state"]
        .into_iter()
        .map(|place| field(delivery, place))
        .collect()
}

pub(super) async fn replay(client: &Client, id: &str, output: Output) -> Done {
    let delivery = client.post(&["hooks", "deliveries", id, "replay"], Value::Null).await?;
    output.print(&delivery, |delivery| {
        format!("{} is handed over again: {}", field(delivery, "/id"), field(delivery, "/callback"))
    })
}

pub(super) async fn replay_all(client: &Client, mut range: Value, output: Output) -> Done {
    if let Some(range) = range.as_object_mut() {
        range.retain(|_, value| !value.is_null());
    }
    let replayed = client.post(&["hooks", "deliveries", "replay"], range).await?;
    output.print(&replayed, |replayed| format!("{} are handed over again", field(replayed, "/replayed")))
}
