use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::client::Client;
use super::output::{Output, at, complain, each, field};
use super::{CliError, Done};

/// How often the state of a sync is looked at.
const INTERVAL: Duration = Duration::from_millis(150);

/// Looks for changes now, and waits until all enabled channels are synced if that is wanted.
pub(super) async fn sync(client: &Client, connection: &str, wait: bool, output: Output) -> Done {
    client.post(&["connections", connection, "sync"], Value::Null).await?;
    if !wait {
        return Ok(());
    }
    let mut progress = Progress::new();
    let ended = loop {
        let now = client.get(&["connections", connection], &[]).await?;
        progress.show(&now);
        if *at(&now, "/status") != json!("active") || *at(&now, "/syncing") != json!(true) {
            break now;
        }
        tokio::time::sleep(INTERVAL).await;
    };
    progress.end();
    let channels: Vec<_> = each(&ended, "/channels").collect();
    output.print(&ended, |_| String::new())?;
    if *at(&ended, "/status") != json!("active") {
        let (status, reason) = (field(&ended, "/status"), field(&ended, "/status_reason"));
        let hint = if status == "needs_reauth" {
            let (connector, user) = (field(&ended, "/connector"), field(&ended, "/user"));
            format!(": authorize it again with `connectors connect {connector} --user {user} --again {connection}`")
        } else {
            String::new()
        };
        return Err(CliError::Failed(format!("{connection} is {status} ({reason}){hint}")));
    }
    if channels.is_empty() {
        return Err(CliError::Failed(format!(
            "{connection} has no enabled channels: list them with `connectors channels {connection}`, and enable some"
        )));
    }
    let failed: Vec<_> = channels
        .iter()
        .filter(|channel| channel.pointer("/sync/state") == Some(&json!("failed")))
        .map(|channel| format!("{}: {}", field(channel, "/name"), field(channel, "/sync/error")))
        .collect();
    if failed.is_empty() { Ok(()) } else { Err(CliError::Failed(failed.join("\n"))) }
}

/// Shows how far the channels are: bars on a terminal, else a line for each change.
struct Progress {
    bars: Option<MultiProgress>,
    channels: HashMap<String, (ProgressBar, String)>,
    retrying: Option<String>,
}

impl Progress {
    fn new() -> Self {
        let bars = std::io::stderr().is_terminal().then(MultiProgress::new);
        Self { bars, channels: HashMap::new(), retrying: None }
    }

    fn show(&mut self, connection: &Value) {
        for channel in each(connection, "/channels") {
            let (id, name, state) = (field(channel, "/id"), field(channel, "/name"), field(channel, "/sync/state"));
            let (saved, error) = (field(channel, "/sync/saved"), field(channel, "/sync/error"));
            let (bar, before) =
                self.channels.entry(id).or_insert_with(|| (new_bar(self.bars.as_ref(), &name), String::new()));
            let mut message = format!("{state}, {saved} saved");
            if !error.is_empty() {
                message.push_str(&format!(": {error}"));
            }
            bar.set_message(message.clone());
            if self.bars.is_none() && *before != state {
                complain(&format!("{name}: {message}"));
            }
            *before = state;
        }
        let retrying = connection.pointer("/retrying/error/message").map(|_| {
            let when = match field(connection, "/retrying/run_at") {
                at if at.is_empty() => "is tried again".to_owned(),
                at => format!("is tried again at {at}"),
            };
            format!("{}: {when}", field(connection, "/retrying/error/message"))
        });
        if let Some(retrying) = retrying.as_ref().filter(|retrying| self.retrying.as_ref() != Some(retrying)) {
            match &self.bars {
                // The line is for people, who see when it is missing.
                Some(bars) => bars.println(retrying).unwrap_or_default(),
                None => complain(retrying),
            }
        }
        self.retrying = retrying;
    }

    fn end(self) {
        for (bar, _) in self.channels.into_values() {
            bar.abandon();
        }
    }
}

fn new_bar(bars: Option<&MultiProgress>, name: &str) -> ProgressBar {
    let Some(bars) = bars else {
        return ProgressBar::hidden();
    };
    let bar = bars.add(ProgressBar::new_spinner());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}  {wide_msg}") {
        bar.set_style(style);
    }
    bar.set_prefix(name.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
