//! Files that users attach to what they write (R10.4).

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};

use crate::context::Dispatch;
use crate::engine::{Engine, EngineResult, FileRow};
use crate::error::{Error, Result};
use crate::id::{FileId, UserId};

/// The files of the connection's owner, from `cx.files()` (R10.4).
pub struct Files<'a> {
    pub(crate) dispatch: &'a Dispatch,
}

impl Files<'_> {
    /// A file that the user attached: what it is, and its bytes as they are asked for. One that is not there
    /// any more is [`ErrorKind::Gone`](crate::ErrorKind::Gone).
    ///
    /// ```
    /// # use connector_core::prelude::*;
    /// # async fn send<C: connector_core::component::Component>(cx: &Context<C>, note: &Note) -> Result<()> {
    /// for id in note.files() {
    ///     let file = cx.files().read(id).await?;
    ///     let media_type = file.media_type().to_owned();
    ///     // Streamed from the store to the service, a chunk at a time.
    ///     cx.provider().put(format!("/uploads/{}", note.id)).body(file, &media_type).send().await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn read(&self, id: FileId) -> Result<AttachedFile> {
        let shared = &self.dispatch.shared;
        let file = AttachedFile::find(&shared.ports.engine, id, &self.dispatch.connection.row.owner).await;
        let file = file.map_err(|error| Error::transient(error.to_string()))?;
        file.ok_or_else(|| Error::gone(format!("the attached file {id} is not there any more")))
    }
}

impl fmt::Debug for Files<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").finish_non_exhaustive()
    }
}

/// A file that a user uploaded, whole. Its bytes stay in the store until they are asked for.
///
/// It is the body of a request as it is: `.body(file, "image/png")`, or a part of a
/// [form](crate::network::Form). It is then read a chunk at a time, as fast as the service takes it, and
/// again from the beginning when the request is sent again.
#[derive(Clone)]
pub struct AttachedFile {
    engine: Arc<dyn Engine>,
    row: Arc<FileRow>,
    size: u64,
}

impl AttachedFile {
    /// A file of this user, if it is there and whole.
    pub(crate) async fn find(engine: &Arc<dyn Engine>, id: FileId, owner: &UserId) -> EngineResult<Option<Self>> {
        let row = engine.file(id).await?.filter(|row| row.owner == *owner);
        Ok(row.and_then(|row| Self::of(engine, row)))
    }

    /// The file of this row, if it is whole.
    pub(crate) fn of(engine: &Arc<dyn Engine>, row: FileRow) -> Option<Self> {
        Some(Self { engine: Arc::clone(engine), size: row.size?, row: Arc::new(row) })
    }

    /// Its id.
    pub fn id(&self) -> FileId {
        self.row.id
    }

    /// File name.
    pub fn name(&self) -> &str {
        &self.row.name
    }

    /// Media type (RFC 6838), as the user's program said; not to be trusted.
    pub fn media_type(&self) -> &str {
        &self.row.media_type
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Its bytes, in chunks of 256 KiB at most. The next is read when it is asked for, so that one is in memory.
    pub fn stream(&self) -> BoxStream<'static, Result<Bytes>> {
        let file = self.clone();
        let chunks = stream::try_unfold((0, 0), move |(index, read)| {
            let file = file.clone();
            async move {
                if read >= file.size {
                    return Ok(None);
                }
                let id = file.id();
                let chunk = file.engine.file_chunk(id, index).await;
                let chunk = chunk.map_err(|error| Error::transient(error.to_string()))?;
                let chunk =
                    chunk.ok_or_else(|| Error::gone(format!("the attached file {id} is not there any more")))?;
                let read = read + chunk.len() as u64;
                Ok(Some((chunk, (index + 1, read))))
            }
        });
        chunks.boxed()
    }

    /// All of its bytes, for a service that takes them within another document. A file of more than `limit`
    /// bytes is refused before anything is read, with a message for the user.
    pub async fn bytes(&self, limit: usize) -> Result<Bytes> {
        let size = usize::try_from(self.size).ok().filter(|size| *size <= limit).ok_or_else(|| {
            Error::rejected(format!("`{}` has {} bytes, and {limit} can be sent", self.name(), self.size))
        })?;
        collect(self.stream(), size).await
    }
}

/// All bytes of a stream, of which so many are expected.
pub(crate) async fn collect(chunks: BoxStream<'static, Result<Bytes>>, expected: usize) -> Result<Bytes> {
    let append = |mut whole: BytesMut, chunk: Bytes| async move {
        whole.extend_from_slice(&chunk);
        Ok(whole)
    };
    Ok(chunks.try_fold(BytesMut::with_capacity(expected), append).await?.freeze())
}

impl fmt::Debug for AttachedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttachedFile").field("id", &self.id()).field("size", &self.size).finish_non_exhaustive()
    }
}
