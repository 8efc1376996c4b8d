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
    let head = format!("{}{user}\r\n{}", part("name=\"user\""), part(&format!("name=\"file\"; filename=\"{name}\"")));
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
