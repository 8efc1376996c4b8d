//! Files, out and in (<https://docs.slack.dev/messaging/working-with-files>).

use std::collections::BTreeMap;

use connector_core::network::Request;
use connector_core::prelude::*;
use serde_json::{Value, json};

use crate::Slack;
use crate::api::{self, ApiMessage};

#[derive(Deserialize)]
pub(crate) struct ApiFile {
    id: String,
    name: Option<String>,
    mimetype: Option<String>,
    size: Option<u64>,
    url_private: Option<String>,
    #[serde(default)]
    shares: ApiShares,
}

/// Where a file was shared: by the kind of the conversation, and its id.
#[derive(Default, Deserialize)]
struct ApiShares {
    #[serde(default)]
    public: BTreeMap<String, Vec<ApiShare>>,
    #[serde(default)]
    private: BTreeMap<String, Vec<ApiShare>>,
}

#[derive(Deserialize)]
struct ApiShare {
    ts: String,
}

impl ApiFile {
    pub(crate) fn name(&self) -> Option<String> {
        self.name.clone()
    }

    pub(crate) fn attachment(&self) -> Attachment {
        let mut attachment = Attachment::new(self.name.as_deref().unwrap_or(&self.id), &self.id);
        attachment.media_type.clone_from(&self.mimetype);
        attachment.size = self.size;
        attachment
    }

    pub(crate) async fn download(self, cx: &Context<Slack>, link: &Link) -> Result<Download> {
        let (Some(url), Some(token)) = (&self.url_private, cx.integrations().token(&link.channel).await?) else {
            return Ok(Download::Gone);
        };
        let Some(response) = cx.network().get(url).bearer(&token).stream().await.unless_gone()? else {
            return Ok(Download::Gone);
        };
        Ok(response.into_download(self.name.unwrap_or(self.id)))
    }

    /// The message that brought it into a conversation.
    fn message(&self, channel: &ChannelId) -> Option<&str> {
        let shares = [&self.shares.public, &self.shares.private];
        let share = shares.into_iter().find_map(|shares| shares.get(channel.as_str())?.last());
        share.map(|share| share.ts.as_str())
    }
}

#[derive(Deserialize)]
struct ApiFileInfo {
    file: ApiFile,
}

/// What Slack says of a file; none if it is gone.
pub(crate) async fn info(cx: &Context<Slack>, id: &str) -> Result<Option<ApiFile>> {
    let info = api::call::<ApiFileInfo>(cx.provider().get("/files.info").query("file", id)).await;
    Ok(info.unless_gone()?.map(|info| info.file))
}

#[derive(Deserialize)]
struct ApiUpload {
    upload_url: String,
    file_id: String,
}

/// Writes a message with files of the user, streamed to Slack one after the other; none where Slack does not show the
/// message yet, which it does in its own time.
pub(crate) async fn share(
    cx: &Context<Slack>,
    channel: &ChannelId,
    root: Option<&str>,
    text: &str,
    files: &[FileId],
) -> Result<Option<ApiMessage>> {
    let mut uploaded: Vec<Value> = Vec::new();
    for id in files {
        let file = cx.files().read(*id).await?;
        let (name, length) = (file.name().to_owned(), file.size().to_string());
        let place = cx.provider().post("/files.getUploadURLExternal").form([("filename", &name), ("length", &length)]);
        let place: ApiUpload = api::call(place).await?;
        let media_type = file.media_type().to_owned();
        cx.network().post(&place.upload_url).body(file, &media_type).timeout(Request::UPLOAD_TIMEOUT).send().await?;
        uploaded.push(json!({ "id": place.file_id, "title": name }));
    }
    let first = uploaded.first().and_then(|file| file["id"].as_str()).unwrap_or_default().to_owned();
    let mut message = serde_json::Map::new();
    message.insert("files".to_owned(), uploaded.into());
    message.insert("channel_id".to_owned(), json!(channel));
    message.extend(root.map(|root| ("thread_ts".to_owned(), root.into())));
    if !text.trim().is_empty() {
        message.insert("initial_comment".to_owned(), api::text(text)?.into());
    }
    api::call_unless(cx.provider().post("/files.completeUploadExternal").json(&message), "").await?;
    let Some(file) = info(cx, &first).await? else { return Ok(None) };
    let Some(ts) = file.message(channel) else { return Ok(None) };
    let messages = api::thread(cx, channel, root.unwrap_or(ts)).await?;
    Ok(messages.into_iter().flatten().find(|message| message.ts == ts))
}
