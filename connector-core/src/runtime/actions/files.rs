use std::collections::HashSet;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use jiff::{SignedDuration, Timestamp};

use super::ActionError;
use crate::declaration::Hooks;
use crate::dispatch::{HookCall, HookReply};
use crate::engine::{CommitError, EngineError, EngineResult, Expect, FileRow, Write, WriteSet};
use crate::files::AttachedFile;
use crate::id::{FileId, NoteId, UserId};
use crate::link_type::LinkTypeDeclaration;
use crate::model::{Attachment, AttachmentRef, Download};
use crate::runtime::{Runtime, Shared};

/// Bytes in a chunk of a file: so many are in memory of an upload, or of a file that is read.
const CHUNK: usize = 256 << 10;

/// How long a file is kept that no note has, or that did not become whole.
const KEEP_UNUSED: SignedDuration = SignedDuration::from_hours(24);

/// Files that are looked at or removed at once.
const PAGE: usize = 100;

/// Files that one note can have.
const MAX_ATTACHMENTS: usize = 100;

/// Characters in the name of a file.
const MAX_NAME: usize = 255;

/// A file that is being uploaded. Each full chunk is stored before more is taken; the file is there when the
/// upload is [finished](Self::finish). Dropping it before removes what was stored.
#[must_use = "an upload that is dropped is given up"]
pub struct Upload {
    shared: Arc<Shared>,
    row: FileRow,
    /// What has come, and is less than a chunk.
    rest: BytesMut,
    size: u64,
    chunks: u32,
    finished: bool,
}

impl Upload {
    /// Takes the next bytes, and comes back when all full chunks are stored.
    ///
    /// # Errors
    ///
    /// [`ActionError::TooLarge`] when the file gets larger than the host takes.
    pub async fn write(&mut self, mut bytes: Bytes) -> Result<(), ActionError> {
        let limit = self.shared.config.max_file;
        self.size = self.size.saturating_add(bytes.len() as u64);
        if self.size > limit {
            return Err(ActionError::TooLarge { limit });
        }
        while !bytes.is_empty() {
            let taken = bytes.split_to(bytes.len().min(CHUNK - self.rest.len()));
            self.rest.extend_from_slice(&taken);
            if self.rest.len() == CHUNK {
                self.store_chunk().await?;
            }
        }
        Ok(())
    }

    /// The file is whole, and this user's: it can be attached to what they write.
    pub async fn finish(mut self, user: &UserId) -> Result<FileRow, ActionError> {
        if !self.rest.is_empty() {
            self.store_chunk().await?;
        }
        let row = FileRow { owner: user.clone(), size: Some(self.size), ..self.row.clone() };
        self.store(Write::PutFile { row: row.clone(), expect: Some(1) }).await?;
        self.finished = true;
        Ok(FileRow { version: 2, ..row })
    }

    async fn store_chunk(&mut self) -> Result<(), ActionError> {
        let bytes = std::mem::take(&mut self.rest).freeze();
        self.store(Write::PutFileChunk { file: self.row.id, index: self.chunks, bytes }).await?;
        self.chunks += 1;
        Ok(())
    }

    async fn store(&self, write: Write) -> Result<(), ActionError> {
        match self.shared.ports.engine.commit(WriteSet::of([write])).await {
            Ok(_) => Ok(()),
            Err(CommitError::Engine(error)) => Err(error.into()),
            Err(_) => Err(ActionError::Conflict(format!(
                "the upload of {} took more than a day, and was given up: send the file again",
                self.row.id
            ))),
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        // Without a runtime, the process ends: what is left goes when it is a day old.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let removed =
                self.shared.ports.engine.commit(WriteSet::of([Write::DeleteFiles { ids: vec![self.row.id] }]));
            let id = self.row.id;
            runtime.spawn(async move {
                if let Err(error) = removed.await {
                    tracing::warn!(file = %id, "what was uploaded of a file is left until it is a day old: {error}");
                }
            });
        }
    }
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload").field("id", &self.row.id).field("size", &self.size).finish_non_exhaustive()
    }
}

impl Runtime {
    /// Begins the upload of a file. Of the name, what stands after the last slash is kept.
    pub async fn upload(&self, name: &str, media_type: Option<&str>) -> Result<Upload, ActionError> {
        let shared = Arc::clone(&self.shared);
        let row = FileRow {
            id: FileId::from_number(shared.ports.engine.take_ids(1)),
            owner: UserId::from_static(""),
            name: file_name(name),
            media_type: media_type.filter(|text| is_media_type(text)).unwrap_or("application/octet-stream").to_owned(),
            size: None,
            created_at: shared.ports.clock.now(),
            version: 0,
        };
        let upload = Upload { shared, row, rest: BytesMut::new(), size: 0, chunks: 0, finished: false };
        upload.store(Write::PutFile { row: upload.row.clone(), expect: None }).await?;
        Ok(upload)
    }

    /// The largest file that is taken, in bytes.
    pub fn max_file(&self) -> u64 {
        self.shared.config.max_file
    }

    /// Removes files that were not used within a day of their upload, and what is left of uploads that were not
    /// finished; how many.
    pub async fn prune_files(&self) -> EngineResult<u64> {
        let engine = &self.shared.ports.engine;
        let cutoff = self.shared.ports.clock.now().checked_sub(KEEP_UNUSED).unwrap_or(Timestamp::MIN);
        let mut pruned = 0;
        loop {
            let ids: Vec<_> = engine.unused_files(cutoff, PAGE).await?.iter().map(|row| row.id).collect();
            if ids.is_empty() {
                return Ok(pruned);
            }
            pruned += ids.len() as u64;
            // One by one: the chunks of a large file are many, and others wait for the commit.
            for id in ids {
                match self.shared.ports.engine.commit(WriteSet::of([Write::DeleteFiles { ids: vec![id] }])).await {
                    Ok(_) => {}
                    Err(CommitError::Engine(error)) => return Err(error),
                    Err(other) => return Err(EngineError::Failed(other.to_string())),
                }
            }
        }
    }

    /// Files of a user as attachments of something that they write, and that they have to be there when it is stored.
    pub(super) async fn attach(
        &self,
        user: &UserId,
        ids: &[FileId],
        declaration: Option<&LinkTypeDeclaration>,
    ) -> Result<(Vec<Attachment>, Vec<Expect>), ActionError> {
        if ids.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        if !declaration.is_some_and(|declaration| declaration.supports.attachments) {
            let label = declaration.map_or("item", |declaration| declaration.label);
            return Err(ActionError::Invalid(format!(
                "a {label} takes no attachments: put a link to the file into the text"
            )));
        }
        if ids.len() > MAX_ATTACHMENTS {
            return Err(ActionError::Invalid(format!("at most {MAX_ATTACHMENTS} files can be attached at once")));
        }
        let mut seen = HashSet::new();
        let mut attachments = Vec::with_capacity(ids.len());
        for id in ids.iter().filter(|id| seen.insert(**id)) {
            let file = AttachedFile::find(&self.shared.ports.engine, *id, user).await?;
            let file = file.ok_or_else(|| {
                ActionError::Invalid(format!(
                    "{user} has uploaded no file {id}, or it was not attached within a day: upload it first"
                ))
            })?;
            attachments.push(Attachment {
                name: file.name().to_owned(),
                media_type: Some(file.media_type().to_owned()),
                size: Some(file.size()),
                content_id: None,
                at: AttachmentRef::File(*id),
            });
        }
        Ok((attachments, seen.into_iter().map(|id| Expect::File { id }).collect()))
    }

    /// A user opens an attachment, by its place in the note: a file that a user uploaded from the store, another one
    /// from the service.
    pub async fn download(&self, id: NoteId, index: usize, user: &UserId) -> Result<Download, ActionError> {
        let (note, link) = self.own_note(id, user).await?;
        let attachment = note.note.attachments.get(index).cloned();
        let attachment = attachment.ok_or_else(|| ActionError::NotFound(format!("{id} has no attachment {index}")))?;
        if let AttachmentRef::File(file) = attachment.at {
            // Whoever sees the note sees its files: whose they are was looked at when they were attached.
            let engine = &self.shared.ports.engine;
            let found = engine.file(file).await?.and_then(|row| AttachedFile::of(engine, row));
            let Some(file) = found else { return Ok(Download::Gone) };
            return Ok(Download::Body {
                name: file.name().to_owned(),
                media_type: file.media_type().to_owned(),
                body: file.stream(),
            });
        }
        if !link.dispatches(Hooks::DOWNLOAD_ATTACHMENT) {
            return Ok(Download::Gone);
        }
        let call = HookCall::DownloadAttachment { attachment, link: link.row.link };
        match self.hook_now(note.connection, call).await? {
            HookReply::Download(download) => Ok(download),
            _ => Ok(Download::Gone),
        }
    }
}

/// What a program says that a file is called, without the path that some put before it.
fn file_name(given: &str) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = last.chars().filter(|character| !character.is_control()).take(MAX_NAME).collect();
    let name = name.trim();
    if name.is_empty() || name.chars().all(|character| character == '.') { "file".to_owned() } else { name.to_owned() }
}

/// Whether it is a type and a subtype, perhaps with parameters (RFC 9110 8.3.1).
fn is_media_type(text: &str) -> bool {
    let (kind, _) = text.split_once(';').unwrap_or((text, ""));
    let token = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+*".contains(&byte))
    };
    let essence = kind.trim().split_once('/').is_some_and(|(main, sub)| token(main) && token(sub));
    essence && text.len() <= MAX_NAME && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}
