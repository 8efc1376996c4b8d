//! `key`: who may use the API.

use http::Method;
use serde_json::json;

use super::Done;
use super::args::KeyCommand;
use super::client::Client;
use super::output::{Output, field, table};

pub(super) async fn run(client: &Client, command: KeyCommand, output: Output) -> Done {
    match command {
        KeyCommand::Create { name } => {
            let key = client.post(&["keys"], json!({"name": name})).await?;
            output.print(&key, |key| field(key, "/key"))
        }
        KeyCommand::List => {
            let keys = client.list_whole(&["keys"], &[]).await?;
            output.print(&json!(keys), |_| {
                let rows = keys.iter().map(|key| vec![field(key, "/name"), field(key, "/created_at")]);
                table(&["NAME", "CREATED"], &rows.collect::<Vec<_>>())
            })
        }
        KeyCommand::Revoke { name } => {
            client.request(Method::DELETE, &["keys", &name], &[], None).await?;
            Ok(())
        }
    }
}
