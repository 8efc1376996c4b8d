//! Files, out and in (<https://linear.app/developers/how-to-upload-a-file-to-linear>). Linear has them in its storage, and
//! what is written names them.

use connector_core::content::{Block, Document, Inline};
use connector_core::network::Request;
use connector_core::prelude::*;
use serde_json::json;

use crate::Linear;

/// Where Linear keeps files (<https://linear.app/developers/file-storage-authentication>).
const STORAGE: &str = "https://uploads.linear.app/";

/// What Linear shows within the text.
const PICTURES: &[&str] = &["gif", "jpeg", "jpg", "png", "svg", "webp"];

/// The files that a text names.
pub(crate) fn within(markdown: &str) -> impl Iterator<Item = Attachment> {
    let links = Document::from_markdown(markdown).into_links().into_iter();
    links.filter(|(_, url)| url.starts_with(STORAGE)).map(|(name, url)| {
        let name = if name.is_empty() { url.rsplit('/').next().unwrap_or_default().to_owned() } else { name };
        Attachment::new(name, url)
    })
}

/// A text that names these files as well.
pub(crate) fn named(text: &str, files: &[(String, String)]) -> String {
    let name = |(name, url): &(String, String)| {
        let kind = name.rsplit_once('.').map(|(_, kind)| kind.to_ascii_lowercase()).unwrap_or_default();
        let (name, url) = (name.clone(), url.clone());
        let inline = if PICTURES.contains(&kind.as_str()) {
            Inline::Image { url, alt: name }
        } else {
            Inline::Link { url, content: vec![Inline::text(name)] }
        };
        Document(vec![Block::Paragraph(vec![inline])]).to_markdown()
    };
    let text = Some(text.trim_end()).filter(|text| !text.is_empty()).map(str::to_owned);
    text.into_iter().chain(files.iter().map(name)).collect::<Vec<_>>().join("\n\n")
}

/// The files of a note that Linear has, and that its text does not name by itself.
pub(crate) fn beside(note: &Note) -> Vec<(String, String)> {
    let there = note.attachments.iter().filter_map(|attachment| match &attachment.at {
        AttachmentRef::Service(url) => Some((attachment.name.clone(), url.clone())),
        _ => None,
    });
    there.filter(|(_, url)| !note.content.contains(url.as_str())).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Done {
    file_upload: Place,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    upload_file: ApiUpload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiUpload {
    upload_url: String,
    asset_url: String,
    headers: Vec<ApiHeader>,
}

#[derive(Deserialize)]
struct ApiHeader {
    key: String,
    value: String,
}

/// Streams files of the user into Linear's storage: their names there, and where they are.
pub(crate) async fn upload(cx: &Context<Linear>, files: impl Iterator<Item = FileId>) -> Result<Vec<(String, String)>> {
    let mutation = "mutation($contentType: String!, $filename: String!, $size: Int!) {
        fileUpload(contentType: $contentType, filename: $filename, size: $size) {
            uploadFile { uploadUrl assetUrl headers { key value } }
        }
    }";
    let mut uploaded = Vec::new();
    for id in files {
        let file = cx.files().read(id).await?;
        let (name, media_type) = (file.name().to_owned(), file.media_type().to_owned());
        let asked = json!({ "contentType": media_type, "filename": name, "size": file.size() });
        let Done { file_upload: Place { upload_file: place } } = cx.provider().graphql(mutation, &asked).await?;
        let request = cx.network().put(&place.upload_url).header("Cache-Control", "public, max-age=31536000");
        let request = request.body(file, &media_type).timeout(Request::UPLOAD_TIMEOUT);
        place.headers.iter().fold(request, |request, it| request.header(&it.key, &it.value)).send().await?;
        uploaded.push((name, place.asset_url));
    }
    Ok(uploaded)
}

pub(crate) async fn download(cx: &Context<Linear>, attachment: &Attachment, link: &Link) -> Result<Download> {
    let AttachmentRef::Service(url) = &attachment.at else { return Ok(Download::Gone) };
    let Some(token) = cx.integrations().token(&link.channel).await? else { return Ok(Download::Gone) };
    let found = cx.network().get(url).bearer(&token).stream().await.unless_gone()?;
    Ok(found.map_or(Download::Gone, |found| found.into_download(&attachment.name)))
}
