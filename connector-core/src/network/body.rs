use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};

use crate::error::Result;
use crate::files::{self, AttachedFile};
use crate::hex;

/// What a request sends: bytes that are in memory, and files of users that are read while they are sent.
///
/// A clone is the same, from the beginning: a request can be sent again.
#[derive(Clone, Default)]
pub struct Body {
    pieces: Vec<Piece>,
}

#[derive(Clone)]
enum Piece {
    Bytes(Bytes),
    File(AttachedFile),
    Base64(AttachedFile),
}

/// Bytes in a line of 76 characters of base64, the longest of a mail (RFC 2045 6.8).
const LINE: usize = 57;

impl Body {
    /// A file of a user in base64, in lines as a mail has them (RFC 2045 6.8). It is encoded while it is sent.
    ///
    /// ```
    /// # use connector_core::prelude::*;
    /// # use connector_core::network::Body;
    /// # async fn send<C: connector_core::component::Component>(cx: &Context<C>, note: &Note) -> Result<()> {
    /// let file = cx.files().read(note.file(0)?).await?;
    /// let mail = Body::from("Content-Transfer-Encoding: base64\r\n\r\n").chain(Body::base64(file));
    /// cx.provider().post("/send").body(mail, "message/rfc822").send().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn base64(file: AttachedFile) -> Self {
        Self { pieces: vec![Piece::Base64(file)] }
    }

    /// This, and then `next`.
    #[must_use]
    pub fn chain(mut self, next: impl Into<Self>) -> Self {
        self.pieces.extend(next.into().pieces);
        self
    }

    /// The bytes, if all of them are in memory.
    pub fn bytes(&self) -> Option<Bytes> {
        match self.pieces.as_slice() {
            [] => Some(Bytes::new()),
            [Piece::Bytes(bytes)] => Some(bytes.clone()),
            _ => None,
        }
    }

    /// How many bytes it has.
    pub fn size(&self) -> u64 {
        let sizes = self.pieces.iter().map(|piece| match piece {
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::File(file) => file.size(),
            Piece::Base64(file) => file.size().div_ceil(3) * 4 + file.size().div_ceil(LINE as u64) * 2,
        });
        sizes.sum()
    }

    /// Nothing is sent.
    pub fn is_empty(&self) -> bool {
        self.size() == 0
    }

    /// Its bytes from the beginning. A file is read as they are asked for, a chunk at a time.
    pub fn stream(&self) -> BoxStream<'static, Result<Bytes>> {
        let pieces = self.pieces.clone().into_iter().map(|piece| match piece {
            Piece::Bytes(bytes) => stream::once(std::future::ready(Ok(bytes))).boxed(),
            Piece::File(file) => file.stream(),
            Piece::Base64(file) => base64_lines(file.stream()),
        });
        stream::iter(pieces).flatten().boxed()
    }

    /// The same with all of its bytes in memory: what the services of tests look at.
    pub async fn collected(&self) -> Result<Self> {
        if self.bytes().is_some() {
            return Ok(self.clone());
        }
        Ok(files::collect(self.stream(), 0).await?.into())
    }
}

/// Bytes as lines of base64, as they come.
fn base64_lines(bytes: BoxStream<'static, Result<Bytes>>) -> BoxStream<'static, Result<Bytes>> {
    let lines = stream::try_unfold(Some((bytes, BytesMut::new())), |state| async move {
        let Some((mut bytes, mut kept)) = state else { return Ok(None) };
        let next = bytes.try_next().await?;
        let more = next.is_some();
        kept.extend_from_slice(&next.unwrap_or_default());
        let whole = if more { kept.len() - kept.len() % LINE } else { kept.len() };
        let mut text = String::with_capacity(whole.div_ceil(LINE) * 78);
        for line in kept.split_to(whole).chunks(LINE) {
            BASE64_STANDARD.encode_string(line, &mut text);
            text.push_str("\r\n");
        }
        Ok(Some((Bytes::from(text), more.then_some((bytes, kept)))))
    });
    lines.boxed()
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        let bytes = bytes.into();
        Self { pieces: if bytes.is_empty() { Vec::new() } else { vec![Piece::Bytes(bytes)] } }
    }
}

impl From<AttachedFile> for Body {
    fn from(file: AttachedFile) -> Self {
        Self { pieces: vec![Piece::File(file)] }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.size())
    }
}

/// A form with files, as `multipart/form-data` (RFC 7578). Files are streamed.
///
/// ```
/// # use connector_core::prelude::*;
/// # use connector_core::network::Form;
/// # async fn send<C: connector_core::component::Component>(cx: &Context<C>, note: &Note) -> Result<()> {
/// let file = cx.files().read(note.file(0)?).await?;
/// let form = Form::new().text("comment", &note.content).file("file", file);
/// cx.provider().post("/attachments").multipart(form).send().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Form {
    /// Header and content of each.
    parts: Vec<(String, Body)>,
}

impl Form {
    /// A form without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a field that is a text.
    pub fn text(self, name: &str, value: impl Into<String>) -> Self {
        self.part(format!("name=\"{}\"", escaped(name)), None, value.into().into())
    }

    /// With a file of a user.
    pub fn file(self, name: &str, file: AttachedFile) -> Self {
        let (file_name, media_type) = (file.name().to_owned(), file.media_type().to_owned());
        self.bytes(name, &file_name, &media_type, file)
    }

    /// With a file of this name and media type.
    pub fn bytes(self, name: &str, file_name: &str, media_type: &str, content: impl Into<Body>) -> Self {
        let disposition = format!("name=\"{}\"; filename=\"{}\"", escaped(name), escaped(file_name));
        self.part(disposition, Some(media_type), content.into())
    }

    fn part(mut self, disposition: String, media_type: Option<&str>, content: Body) -> Self {
        let mut header = format!("Content-Disposition: form-data; {disposition}\r\n");
        if let Some(media_type) = media_type {
            let media_type: String = media_type.chars().filter(|character| !character.is_control()).collect();
            header.push_str(&format!("Content-Type: {media_type}\r\n"));
        }
        self.parts.push((header, content));
        self
    }

    /// The body, and its media type. The boundary is random, so that no file can hold it.
    pub(crate) fn encode(self, random: [u8; 16]) -> (Body, String) {
        let boundary = hex::encode(&random);
        let mut body = Body::default();
        for (header, content) in self.parts {
            body.pieces.push(Piece::Bytes(format!("--{boundary}\r\n{header}\r\n").into()));
            body.pieces.extend(content.pieces);
            body.pieces.push(Piece::Bytes(Bytes::from_static(b"\r\n")));
        }
        body.pieces.push(Piece::Bytes(format!("--{boundary}--\r\n").into()));
        (body, format!("multipart/form-data; boundary={boundary}"))
    }
}

/// A name in a header of a form, as browsers write it.
fn escaped(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}
