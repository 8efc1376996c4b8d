//! Files that users attach (R10.4, R9.1).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use connector_core::engine::{Counts, Engine, LinkQuery, NoteRow, Write};
use connector_core::id::{ConnectionId, ThreadId};
use connector_core::network::{Form, NetworkPort, Request, Response, TransportError, UrlRules};
use connector_core::prelude::*;
use connector_core::registry::Registry;
use connector_core::runtime::{ActionError, ChannelUpdate, Compose, ConnectRequest, NewUserNote};
use connector_core::testing::{FakeService, TestHost};
use futures_util::TryStreamExt;

const CHUNK: u64 = 256 << 10;

/// A tray of things with files.
#[connector(provider = GitHub, urls = ["https://files.example.com/*"], link_types = [Parcel, Card], handle_replies)]
#[derive(Default)]
struct Tray;

/// A parcel.
#[link_type(label = "Parcel", compose(status = Open), supports(attachments))]
enum Parcel {
    #[status(todo)]
    Open,
}

/// A card, which takes nothing but words.
#[link_type(label = "Card", compose(status = Blank))]
enum Card {
    #[status(todo)]
    Blank,
}

#[connector]
impl Connector for Tray {
    async fn get_channels(&self, _: &Context<Self>, _: &Account) -> Result<Vec<Channel>> {
        Ok(vec![Channel::new("one", "One")])
    }

    async fn on_note_created(&self, cx: &Context<Self>, note: &Note, _: &Thread) -> Result<WriteBack> {
        for id in note.files() {
            let file = cx.files().read(id).await?;
            let media_type = file.media_type().to_owned();
            let url = format!("https://files.example.com/{}/{}", file.name(), file.size());
            if note.content == "as a form" {
                let form = Form::new().text("title", "a \"title\"").file("file", file);
                cx.network().post(url).multipart(form).send().await?;
            } else {
                cx.network().put(url).body(file, &media_type).send().await?;
            }
        }
        cx.set("written", &note.id.to_string()).await?;
        Ok(WriteBack::delivered(note.id.to_string()))
    }

    async fn on_create_link(&self, cx: &Context<Self>, draft: LinkDraft) -> Result<Option<NewLink>> {
        let mut said = Vec::new();
        for id in draft.files() {
            let small = cx.files().read(id).await?.bytes(10).await?;
            said.push(String::from_utf8_lossy(&small).into_owned());
        }
        let channel = draft.require_channel()?;
        let (author, at) = (Author::Owner, Timestamp::UNIX_EPOCH);
        Ok(Some(NewLink::new(Parcel::Open, Source::new("tray", ["new"]), channel, author, at).title(said.join("+"))))
    }

    async fn download_attachment(&self, cx: &Context<Self>, attachment: &Attachment, _: &Link) -> Result<Download> {
        let response = cx.network().get("https://files.example.com/stored").stream().await?;
        Ok(response.into_download(&attachment.name))
    }
}

#[connector]
impl Tray {
    #[sync(every = "15m")]
    async fn things(&self, cx: &Context<Self>, channel: ChannelId, _: Option<u64>) -> Result<Step<u64>> {
        let (author, at) = (Actor::new("7"), Timestamp::UNIX_EPOCH);
        let source = |of: &str| Source::new("tray", [of]);
        let note = NewNote::new(source("parcel"), "body", author.clone(), at, Content::text("Hello"))
            .attachments([Attachment::new("theirs.txt", "reference")]);
        let parcel = NewLink::new(Parcel::Open, source("parcel"), &channel, author.clone(), at).notes([note]);
        cx.integrations().save_link(parcel).await?;
        cx.integrations().save_link(NewLink::new(Card::Blank, source("card"), &channel, author, at)).await?;
        if let Some(key) = cx.get::<String>("written").await? {
            let note = NewNote::new(source("parcel"), key, Author::Owner, at, Content::text("hi"));
            cx.integrations().save_note(note.attachments([Attachment::new("a.txt", "echoed")])).await?;
        }
        Ok(Step::Done(0))
    }
}

struct Synced {
    host: TestHost,
    connection: ConnectionId,
}

async fn synced(network: impl NetworkPort) -> Synced {
    let host = TestHost::with_network(Registry::of::<Tray>().unwrap(), network).configure(|config| {
        config.max_file = 100 << 20;
    });
    let mut request = ConnectRequest::new("tray", "ada");
    request.token = Some(Secret::new("t"));
    let connection = host.runtime().connect(request).await.unwrap().id;
    host.runtime().enable_channel(connection, &"one".into(), ChannelUpdate::default()).await.unwrap();
    host.settle().await;
    Synced { host, connection }
}

impl Synced {
    async fn thread(&self, of: &str) -> ThreadId {
        let links = self.host.runtime().ports().engine.links(LinkQuery::all(10)).await.unwrap();
        links.iter().find(|row| row.link.source == Source::new("tray", [of])).unwrap().link.thread
    }

    async fn write(&self, of: &str, content: &str, attachments: &[FileId]) -> Result<Note, ActionError> {
        let note = NewUserNote {
            user: "ada".into(),
            content: content.to_owned(),
            link: None,
            recipients: Vec::new(),
            attachments: attachments.to_vec(),
        };
        self.host.runtime().create_note(self.thread(of).await, note).await
    }

    async fn file(&self, text: &str) -> FileId {
        self.host.upload(&"ada".into(), "a.txt", "text/plain", text.to_owned()).await
    }

    async fn note(&self, note: &Note) -> NoteRow {
        self.host.engine().note(note.id).await.unwrap().unwrap()
    }

    async fn is_there(&self, file: FileId) -> bool {
        self.host.engine().file(file).await.unwrap().is_some()
    }

    fn compose(&self, link_type: &'static str, attachments: &[FileId]) -> Compose {
        Compose {
            user: "ada".into(),
            connection: self.connection,
            channel: Some("one".into()),
            link_type: LinkTypeId::from_static(link_type),
            status: None,
            title: "New".to_owned(),
            content: None,
            recipients: Vec::new(),
            attachments: attachments.to_vec(),
            schedules: Vec::new(),
        }
    }
}

fn taking() -> FakeService {
    FakeService::new(|_| FakeService::answer_with(200, &[("content-type", "text/plain")], "stored bytes"))
}

async fn downloaded(download: Download) -> (String, String, Bytes) {
    let Download::Body { name, media_type, body } = download else { panic!("{download:?}") };
    (name, media_type, body.try_collect::<Vec<_>>().await.unwrap().concat().into())
}

/// R10.4, R9.1: the connector sees what the user attached, and sends it on as it is or in a form; so does the user.
#[tokio::test]
async fn a_user_attaches_a_file() {
    let service = taking();
    let synced = synced(service.clone()).await;
    let bytes: Bytes = (0..=255_u8).cycle().take(700_000).collect();
    let large = synced.host.upload(&"ada".into(), "dir/räport.bin", "image/png", bytes.clone()).await;
    let small = synced.file("small").await;
    let note = synced.write("parcel", "", &[large, small, large]).await.unwrap();
    let attachment = &note.attachments[0];
    let about = (attachment.name.as_str(), attachment.media_type.as_deref(), attachment.size, &attachment.at);
    assert_eq!(about, ("räport.bin", Some("image/png"), Some(700_000), &AttachmentRef::File(large)));
    assert_eq!(note.attachments.len(), 2, "each is attached once");
    synced.write("parcel", "as a form", &[small]).await.unwrap();
    synced.host.settle().await;
    assert!(synced.note(&note).await.note.key.is_some(), "it was delivered");
    let sent = service.requests();
    assert_eq!(sent[0].url.path(), "/r%C3%A4port.bin/700000");
    assert_eq!(
        (sent[0].body.bytes(), sent[0].headers["content-type"].to_str().unwrap()),
        (Some(bytes.clone()), "image/png")
    );
    assert_eq!(sent[1].body.bytes(), Some("small".into()));
    let media_type = sent[2].headers["content-type"].to_str().unwrap();
    let boundary = media_type.strip_prefix("multipart/form-data; boundary=").unwrap();
    let form = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\na \"title\"\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\
         Content-Type: text/plain\r\n\r\nsmall\r\n--{boundary}--\r\n"
    );
    assert_eq!(sent[2].body.bytes(), Some(form.into()));
    let download = synced.host.runtime().download(note.id, 0, &"ada".into()).await.unwrap();
    assert_eq!(downloaded(download).await, ("räport.bin".to_owned(), "image/png".to_owned(), bytes));
}

/// R9.1: what is at the service comes from there, streamed.
#[tokio::test]
async fn an_attachment_of_the_service_is_streamed() {
    let synced = synced(taking()).await;
    let thread = synced.thread("parcel").await;
    let links = synced.host.engine().links(LinkQuery::all(10)).await.unwrap();
    let link = links.iter().find(|row| row.link.thread == thread).unwrap();
    let note = synced.host.engine().notes_of_link(link.link.id).await.unwrap().remove(0).note;
    let download = synced.host.runtime().download(note.id, 0, &"ada".into()).await.unwrap();
    assert_eq!(downloaded(download).await, ("theirs.txt".to_owned(), "text/plain".to_owned(), "stored bytes".into()));
}

/// R9.1: a draft has them, and so has the note of the thread that is composed.
#[tokio::test]
async fn a_draft_has_attachments() {
    let synced = synced(taking()).await;
    let files = [synced.file("one").await, synced.file("two").await];
    let link = synced.host.runtime().compose(synced.compose("parcel", &files)).await.unwrap();
    let body = synced.host.engine().notes_of_link(link.id).await.unwrap().remove(0).note;
    assert_eq!(body.files().collect::<Vec<_>>(), files);
    synced.host.settle().await;
    let composed = synced.host.engine().link(link.id).await.unwrap().unwrap().link;
    assert_eq!(composed.title.as_deref(), Some("one+two"), "the connector has read them");
    let late = synced.file("more than it can send").await;
    let refused = synced.host.runtime().compose(synced.compose("parcel", &[late])).await.unwrap();
    synced.host.settle().await;
    let refused = synced.host.engine().link(refused.id).await.unwrap().unwrap().link;
    assert!(format!("{:?}", refused.delivery).contains("`a.txt` has 21 bytes, and 10 can be sent"), "{refused:?}");
}

/// R1.7: a file is attached by whoever uploaded it, whole, to what takes attachments.
#[tokio::test]
async fn what_cannot_be_attached_is_refused() {
    let synced = synced(taking()).await;
    let file = synced.file("x").await;
    let bobs = synced.host.upload(&"bob".into(), "b.txt", "text/plain", "secret").await;
    let mut begun = synced.host.runtime().upload("c.txt", None).await.unwrap();
    begun.write("c".into()).await.unwrap();
    let unfinished = synced.host.engine().unused_files(Timestamp::MAX, 10).await.unwrap().pop().unwrap().id;
    for (of, file, says) in [
        ("card", file, "a Card takes no attachments"),
        ("parcel", bobs, "ada has uploaded no file"),
        ("parcel", unfinished, "ada has uploaded no file"),
    ] {
        let error = synced.write(of, "hi", &[file]).await.unwrap_err();
        assert!(matches!(&error, ActionError::Invalid(text) if text.contains(says)), "{error}");
    }
    let error = synced.host.runtime().compose(synced.compose("card", &[file])).await.unwrap_err();
    assert!(matches!(&error, ActionError::Invalid(text) if text.contains("takes no attachments")), "{error}");
    assert!(matches!(synced.write("parcel", " ", &[]).await, Err(ActionError::Invalid(_))));
    let host = TestHost::new(Registry::default()).configure(|config| config.max_file = 3);
    let mut upload = host.runtime().upload("d", None).await.unwrap();
    upload.write("abc".into()).await.unwrap();
    assert!(matches!(upload.write("d".into()).await, Err(ActionError::TooLarge { limit: 3 })));
}

/// R10.4: what no note has goes a day after its upload, and what one had with its last note.
#[tokio::test]
async fn a_file_that_nobody_needs_goes() {
    let synced = synced(taking()).await;
    let runtime = synced.host.runtime();
    let (used, unused, edited) = (synced.file("1").await, synced.file("2").await, synced.file("3").await);
    let note = synced.write("parcel", "kept", &[used]).await.unwrap();
    let pending = synced.write("parcel", "discarded", &[edited]).await.unwrap();
    runtime.discard_note(pending.id, &"ada".into()).await.unwrap();
    assert!(!synced.is_there(edited).await, "it goes with its note");
    let given_up = runtime.upload("given up", None).await.unwrap();
    drop(given_up);
    tokio::task::yield_now().await;
    let mut killed = runtime.upload("killed", None).await.unwrap();
    killed.write(vec![0; 300_000].into()).await.unwrap();
    let next = synced.host.crash().await;
    assert_eq!(next.runtime().prune_files().await.unwrap(), 0, "they are not a day old");
    assert_eq!(next.engine().counts().await.unwrap().files, 3, "used, unused and what a killed host had of one");
    next.clock().set(next.runtime().ports().clock.now() + SignedDuration::from_hours(25));
    assert_eq!(next.runtime().prune_files().await.unwrap(), 2);
    assert!(next.engine().file(unused).await.unwrap().is_none() && next.engine().file(used).await.unwrap().is_some());
    let read = next.engine().note(note.id).await.unwrap().unwrap().note;
    assert_eq!(read.files().collect::<Vec<_>>(), [used]);
    next.runtime().disconnect(synced.connection).await.unwrap();
    next.settle().await;
    assert_eq!(next.engine().counts().await.unwrap(), Counts::default());
}

/// R9.3: the user's own file stays on a note until the service tells of it, and then the service's stands for it.
#[tokio::test]
async fn the_service_takes_over_what_was_delivered() {
    let synced = synced(taking()).await;
    let file = synced.file("1").await;
    let note = synced.write("parcel", "hi", &[file]).await.unwrap();
    synced.host.settle().await;
    assert_eq!(synced.note(&note).await.note.files().collect::<Vec<_>>(), [file], "it was delivered");
    synced.host.advance(SignedDuration::from_mins(20)).await;
    let told = synced.note(&note).await.note;
    assert_eq!(told.attachments[0].at, AttachmentRef::Service("echoed".to_owned()));
    assert!(!synced.is_there(file).await, "no note has it any more");
}

/// Takes the body of a request a piece at a time, and looks how far the store is read.
struct Slow {
    taken: Arc<AtomicU64>,
    most_ahead: Arc<AtomicU64>,
    engine: Arc<std::sync::OnceLock<connector_core::testing::MemoryEngine>>,
}

impl NetworkPort for Slow {
    fn send<'a>(
        &'a self,
        request: Request,
        _: &'a UrlRules,
    ) -> connector_core::clock::BoxFuture<'a, Result<Response, TransportError>> {
        Box::pin(async move {
            let mut body = request.body.stream();
            let engine = self.engine.get().unwrap();
            let before = engine.file_chunks_read();
            let mut pieces = 0;
            while let Some(piece) = body.try_next().await.unwrap() {
                pieces += 1;
                self.taken.fetch_add(piece.len() as u64, Ordering::SeqCst);
                // Others run, and nothing more is read meanwhile.
                tokio::task::yield_now().await;
                self.most_ahead.fetch_max(engine.file_chunks_read() - before - pieces, Ordering::SeqCst);
            }
            Ok(FakeService::answer(200, "{}"))
        })
    }
}

/// R10.4: a file of 64 MiB is never whole in memory, neither while it comes nor while it goes.
#[tokio::test]
async fn a_large_file_passes_through_in_pieces() {
    const SIZE: u64 = 64 << 20;
    let (taken, most_ahead, engine) = (Arc::default(), Arc::default(), Arc::default());
    let slow = Slow { taken: Arc::clone(&taken), most_ahead: Arc::clone(&most_ahead), engine: Arc::clone(&engine) };
    let synced = synced(slow).await;
    engine.set(synced.host.engine().clone()).ok();
    let stored = Arc::new(AtomicU64::new(0));
    let counting = Arc::clone(&stored);
    synced.host.engine().fail_commits(move |set| {
        for write in &set.writes {
            if let Write::PutFileChunk { bytes, .. } = write {
                assert!(bytes.len() as u64 <= CHUNK);
                counting.fetch_add(bytes.len() as u64, Ordering::SeqCst);
            }
        }
        None
    });
    let mut upload = synced.host.runtime().upload("large.bin", None).await.unwrap();
    let piece = Bytes::from(vec![7; 100_000]);
    let mut written = 0;
    while written < SIZE {
        let next = piece.slice(..piece.len().min(usize::try_from(SIZE - written).unwrap()));
        written += next.len() as u64;
        upload.write(next).await.unwrap();
        assert!(written - stored.load(Ordering::SeqCst) < CHUNK, "less than a chunk waits to be stored");
    }
    let file = upload.finish(&"ada".into()).await.unwrap();
    assert_eq!((file.size, stored.load(Ordering::SeqCst)), (Some(SIZE), SIZE));
    let note = synced.write("parcel", "here", &[file.id]).await.unwrap();
    synced.host.settle().await;
    assert!(synced.note(&note).await.note.key.is_some());
    assert_eq!((taken.load(Ordering::SeqCst), most_ahead.load(Ordering::SeqCst)), (SIZE, 0), "read as it is taken");
    let before = synced.host.engine().file_chunks_read();
    let download = synced.host.runtime().download(note.id, 0, &"ada".into()).await.unwrap();
    let Download::Body { mut body, .. } = download else { panic!("{download:?}") };
    body.try_next().await.unwrap().unwrap();
    body.try_next().await.unwrap().unwrap();
    assert_eq!(synced.host.engine().file_chunks_read() - before, 2, "the rest is not read until it is asked for");
}

/// L29: what connectors put into a header is one line, whatever the user's program called a file.
#[tokio::test]
async fn a_media_type_is_one_line() {
    let host = TestHost::with_network(Registry::of::<Tray>().unwrap(), FakeService::new(|_| unreachable!()));
    for (said, kept) in [
        ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        ("text/plain\r\nX-Forged: 1", "application/octet-stream"),
        ("text/plain\r\n", "application/octet-stream"),
        ("text/plain\n; a=b", "application/octet-stream"),
    ] {
        let upload = host.runtime().upload("a.txt", Some(said)).await.unwrap();
        assert_eq!(upload.finish(&UserId::from_static("ada")).await.unwrap().media_type, kept, "{said:?}");
    }
}
