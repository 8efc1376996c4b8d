//! The form in which a file of this machine goes to the API.

use std::path::Path;

use axum::body::{Body, Bytes};
use futures_util::{StreamExt, stream};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::CliError;
use crate::vault::hex;

/// Bytes that are read at once.
const PIECE: usize = 64 << 10;

/// The media type and the body, which is read while it is sent.
pub(super) async fn form(path: &Path, user: &str) -> Result<(String, Body), CliError> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| CliError::Failed(format!("{shown} cannot be read: {error}"));
    let file = File::open(path).await.map_err(unreadable)?;
    if !file.metadata().await.map_err(unreadable)?.is_file() {
        return Err(CliError::Failed(format!("{shown} is no file: name a file to attach")));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(CliError::failed)?;
    let boundary = hex(&random);
    let part = |disposition: &str| format!("--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n");
    let mut about = format!("name=\"file\"; filename=\"{name}\"");
    if let Some(media_type) = media_type(path) {
        about.push_str("\r\nContent-Type: ");
        about.push_str(media_type);
    }
    let head = format!("{}{user}\r\n{}", part("name=\"user\""), part(&about));
    let pieces = stream::try_unfold(file, |mut file| async move {
        let mut piece = vec![0; PIECE];
        let read = file.read(&mut piece).await?;
        piece.truncate(read);
        Ok((read > 0).then(|| (Bytes::from(piece), file)))
    });
    let piece = |text: String| stream::once(std::future::ready(Ok::<_, std::io::Error>(Bytes::from(text))));
    let body = piece(head).chain(pieces).chain(piece(format!("\r\n--{boundary}--\r\n")));
    Ok((format!("multipart/form-data; boundary={boundary}"), Body::from_stream(body)))
}

/// What is in a file by the end of its name, for the kinds that people attach; a service guesses at others itself.
fn media_type(path: &Path) -> Option<&'static str> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    Some(match extension.as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "heic" => "image/heic",
        "svg" => "image/svg+xml",
        "pdf" => "application/pdf",
        "txt" | "log" => "text/plain",
        "md" => "text/markdown",
        "csv" => "text/csv",
        "htm" | "html" => "text/html",
        "ics" => "text/calendar",
        "json" => "application/json",
        "xml" => "application/xml",
        "zip" => "application/zip",
        "gz" => "application/gzip",
        "doc" => "application/msword",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xls" => "application/vnd.ms-excel",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "ppt" => "application/vnd.ms-powerpoint",
        "pptx" => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "eml" => "message/rfc822",
        "mp3" => "audio/mpeg",
        "m4a" => "audio/mp4",
        "wav" => "audio/wav",
        "mp4" => "video/mp4",
        "mov" => "video/quicktime",
        "webm" => "video/webm",
        _ => return None,
    })
}
