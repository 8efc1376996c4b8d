//! Uploads: the files that users attach to what they write.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use aide::axum::ApiRouter;
use aide::axum::routing::post_with;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, RequestBody, Response, StatusCode as Status};
use aide::operation::{OperationInput, set_body};
use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::{StatusCode, header};
use connector_core::engine::FileRow;
use connector_core::id::{FileId, UserId};
use connector_core::runtime::Upload;
use futures_util::{Stream, StreamExt};
use schemars::{JsonSchema, json_schema};
use serde::Serialize;

use super::caller::Caller;
use super::extract::Created;
use super::openapi::{op, problems, schema};
use super::problem::{Answer, Problem};
use crate::host::Host;
use crate::limits::Share;

/// What a form may have beside the file, in bytes.
const FORM: u64 = 16 * 1024;

/// As many bytes of an upload are in memory, but for a piece that comes larger.
const MOST_AHEAD: u64 = 1 << 20;

/// How often a form is asked for what is in it, when there is so much.
const MOST_STALLED: u32 = 8;

/// Where files are uploaded.
pub(super) const ROUTE: &str = "/api/v1/files";

/// Seconds after which an upload that was one too many may be tried again: until then, files may have been attached.
const RETRY_AFTER: u64 = 60;

/// Longest id of a user, in bytes.
const LONGEST_USER: usize = 1024;

pub(super) fn routes() -> ApiRouter<Host> {
    // How large a file may be, its upload knows.
    ApiRouter::new()
        .api_route("/files", post_with(upload, op("createFile", "Upload a file, to attach it to a note", &[409])))
        .layer(DefaultBodyLimit::disable())
}

/// A file that a user has uploaded. One that is attached to nothing within a day goes away.
#[derive(Serialize, JsonSchema)]
struct FileView {
    id: FileId,
    name: String,
    /// Media type.
    #[serde(rename = "type")]
    media_type: String,
    /// Bytes.
    size: u64,
}

impl From<FileRow> for FileView {
    fn from(row: FileRow) -> Self {
        Self { id: row.id, name: row.name, media_type: row.media_type, size: row.size.unwrap_or_default() }
    }
}

/// The form of an upload, whose parts are read one after the other.
struct UploadForm {
    parts: Multipart,
    taken: Arc<AtomicU64>,
}

impl UploadForm {
    /// The next bytes of a field.
    async fn chunk(taken: &AtomicU64, field: &mut Field<'_>) -> Answer<Option<Bytes>> {
        let chunk = field.chunk().await.map_err(broken)?;
        taken.fetch_add(chunk.as_ref().map_or(0, Bytes::len) as u64, Ordering::Relaxed);
        Ok(chunk)
    }
}

impl FromRequest<Host> for UploadForm {
    type Rejection = Problem;

    async fn from_request(request: Request, host: &Host) -> Result<Self, Problem> {
        let limit = host.runtime().max_file();
        let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        // Who says so before needs not send it.
        if length.is_some_and(|length: u64| length > limit.saturating_add(FORM)) {
            return Err(Problem::file_too_large(limit));
        }
        let taken = Arc::new(AtomicU64::new(0));
        let pieces = Arc::clone(&taken);
        let request = request.map(|body| Body::from_stream(OneByOne::new(body.into_data_stream(), pieces)));
        let parts = Multipart::from_request(request, host).await;
        parts
            .map(|parts| Self { parts, taken })
            .map_err(|_| malformed("send a form, as `multipart/form-data`, with the fields `user` and `file`"))
    }
}

impl OperationInput for UploadForm {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        let form = json_schema!({
            "type": "object",
            "properties": {
                "user": {"type": "string", "description": "Whose file it is. The user of the session, if there is one."},
                "file": {"type": "string", "contentMediaType": "application/octet-stream"},
            },
            "required": ["file"],
        });
        let media = MediaType { schema: Some(schema(form)), ..MediaType::default() };
        let content = [("multipart/form-data".to_owned(), media)].into_iter().collect();
        let description = Some("The file, with its name and media type.".to_owned());
        set_body(
            context,
            operation,
            RequestBody { description, content, required: true, extensions: Default::default() },
        );
    }

    fn inferred_early_responses(context: &mut GenContext, _: &mut Operation) -> Vec<(Option<Status>, Response)> {
        problems(context, [400, 413, 422])
    }
}

/// Stores a file while it comes. Whatever goes wrong, nothing of it is left.
async fn upload(
    State(host): State<Host>,
    caller: Caller,
    UploadForm { mut parts, taken }: UploadForm,
) -> Answer<Created<FileView>> {
    let mut user = caller.user().cloned();
    let mut room = Room::new(&host);
    if let Some(user) = &user {
        room.belongs_to(user).await?;
    }
    let mut file: Option<Upload> = None;
    let mut others = 0;
    while let Some(mut field) = parts.next_field().await.map_err(broken)? {
        match field.name() {
            Some("user") => {
                let named = read_user(&caller, &taken, &mut field).await?;
                room.belongs_to(&named).await?;
                user = Some(named);
            }
            Some("file") if file.is_some() => return Err(Problem::field("file", "send one file in a request")),
            Some("file") => {
                let Some(name) = field.file_name() else {
                    return Err(Problem::field("file", "send it as a file, with the name that it has"));
                };
                // So programs write a quotation mark in it.
                let name = name.replace("%22", "\"");
                let mut upload = host.runtime().upload(&name, field.content_type()).await?;
                while let Some(chunk) = UploadForm::chunk(&taken, &mut field).await? {
                    room.take(chunk.len() as u64)?;
                    upload.write(chunk).await?;
                }
                file = Some(upload);
            }
            other => {
                let name = other.unwrap_or_default().to_owned();
                return Err(Problem::field(name, "there is no such field: there are `user` and `file`"));
            }
        }
        others += 1;
        if others > 2 {
            return Err(Problem::field("user", "send each field once"));
        }
    }
    let Some(upload) = file else { return Err(Problem::field("file", "is missing")) };
    let Some(user) = user else { return Err(Problem::field("user", "say whose file it is")) };
    // Other uploads of the user may have ended meanwhile.
    room.belongs_to(&user).await?;
    Ok(Created(upload.finish(&user).await?.into()))
}

/// What an upload takes of the bytes that one user may have in files that no note has.
struct Room<'a> {
    host: &'a Host,
    /// Bytes of the upload so far.
    bytes: u64,
    /// Whose it is, once that is known.
    owner: Option<Owner>,
}

struct Owner {
    user: UserId,
    /// Bytes in the user's files that are stored and no note has.
    stored: u64,
    /// Bytes of this upload, among those of all uploads of the user that are under way.
    share: Share<UserId>,
}

impl<'a> Room<'a> {
    fn new(host: &'a Host) -> Self {
        Self { host, bytes: 0, owner: None }
    }

    /// Says whose the upload is, and looks how much of the user's room is taken.
    async fn belongs_to(&mut self, user: &UserId) -> Answer<()> {
        let stored = self.host.engine().unused_bytes(user.clone()).await?;
        self.owner = match self.owner.take() {
            Some(owner) if owner.user == *user => Some(Owner { stored, ..owner }),
            _ => {
                let share = self.host.limits().upload(user, self.bytes);
                Some(Owner { user: user.clone(), stored, share })
            }
        };
        self.check()
    }

    /// Takes room for the next bytes.
    fn take(&mut self, bytes: u64) -> Answer<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        if let Some(owner) = &mut self.owner {
            owner.share.add(bytes);
        }
        self.check()
    }

    fn check(&self) -> Answer<()> {
        let Some(owner) = &self.owner else { return Ok(()) };
        let most = self.host.config().unused_file_bytes();
        if owner.stored.saturating_add(owner.share.of_all()) <= most {
            return Ok(());
        }
        let detail = format!(
            "{} has {most} bytes of files that no note has, which is as much as is kept of one user \
             (`limits.unused_file_bytes`): attach them to notes, or wait until they are a day old and go",
            owner.user
        );
        Err(Problem::too_many(detail, RETRY_AFTER))
    }
}

async fn read_user(caller: &Caller, taken: &AtomicU64, field: &mut Field<'_>) -> Answer<UserId> {
    let mut text = Vec::new();
    while let Some(chunk) = UploadForm::chunk(taken, field).await? {
        text.extend_from_slice(&chunk);
        if text.len() > LONGEST_USER {
            return Err(Problem::field("user", format!("an id has at most {LONGEST_USER} bytes")));
        }
    }
    let text = String::from_utf8(text).ok().filter(|text| !text.is_empty());
    let user = UserId::new(text.ok_or_else(|| Problem::field("user", "say whose file it is, as text in UTF-8"))?);
    caller.acts_as(&user)?;
    Ok(user)
}

fn malformed(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed", detail)
}

/// The form cannot be read: it is none, or it ended before it was whole.
fn broken(error: MultipartError) -> Problem {
    malformed(format!("the upload is broken off, or no form: {}. Send it again, whole", error.body_text()))
}

/// Gives the pieces of a body one by one, with a pause of no time between: what reads a form takes all that is
/// ready, and would have the whole file in memory if it comes faster than it is stored. What is no field of a
/// form, it would collect without end: that is an error.
struct OneByOne {
    body: BodyDataStream,
    /// The pause comes before the next piece.
    paused: bool,
    given: u64,
    /// Bytes of fields that have come out of the form.
    taken: Arc<AtomicU64>,
    /// How often there was too much, one time after the other.
    stalled: u32,
}

impl OneByOne {
    fn new(body: BodyDataStream, taken: Arc<AtomicU64>) -> Self {
        Self { body, paused: false, given: 0, taken, stalled: 0 }
    }
}

impl Stream for OneByOne {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let too_much = self.given.saturating_sub(self.taken.load(Ordering::Relaxed)) > MOST_AHEAD;
        self.stalled = if too_much { self.stalled + 1 } else { 0 };
        if self.stalled > MOST_STALLED {
            return Poll::Ready(Some(Err(axum::Error::new("it has no fields"))));
        }
        if self.paused || too_much {
            self.paused = false;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = self.body.poll_next_unpin(cx);
        if let Poll::Ready(Some(Ok(piece))) = &next {
            self.paused = true;
            self.given = self.given.saturating_add(piece.len() as u64);
        }
        next
    }
}
