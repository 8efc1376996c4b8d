//! Gmail: conversations, their labels, who they are from and to, and what is attached.

use connector_core::engine::LinkRow;
use connector_core::id::LinkTypeId;
use connector_core::model::{Actor, Delivery, Download, Recipient};
use connector_core::runtime::Compose;
use futures_util::StreamExt;

use crate::model::{ADA, Mail, Shared};
use crate::rig::{Rig, ada};

const INBOX: &[&str] = &["mail:INBOX"];

/// A mailbox with one conversation.
async fn synced(subject: &str, text: &str) -> (Shared, Rig, LinkRow) {
    let google = Shared::default();
    receive(&google, subject, text, |_| {});
    let rig = Rig::new(&google, INBOX).await;
    let row = rig.link(subject).await;
    (google, rig, row)
}

fn receive(google: &Shared, subject: &str, text: &str, change: impl FnOnce(&mut Mail)) {
    let at = "2025-12-30T12:00:00Z".parse().expect("a time");
    google.with(|google| {
        let mut mail = google.mail.receive(None, subject, text, at);
        change(&mut mail);
        google.mail.put(mail);
    });
}

fn thread(row: &LinkRow) -> String {
    row.link.raw_meta["thread"].as_str().expect("a text").to_owned()
}

fn label(google: &Shared, row: &LinkRow, add: &[&str], remove: &[&str]) {
    assert!(google.with(|google| google.mail.label(&thread(row), add, remove)));
}

fn sent(google: &Shared) -> Mail {
    let found = google.with(|google| google.mail.mails.iter().rfind(|mail| mail.labels == ["SENT"]).cloned());
    found.expect("it was sent")
}

async fn marks(rig: &Rig, row: &LinkRow) -> (bool, bool) {
    let marks =
        rig.host.runtime().ports().engine.user_threads(ada(), vec![row.link.thread]).await.expect("the store works");
    marks[0].as_ref().map_or((false, false), |marks| (marks.unread, marks.todo))
}

/// R9.1: read and starred go both ways.
#[tokio::test]
async fn read_and_starred_go_both_ways() {
    let (google, rig, row) = synced("Lunch", "At noon?").await;
    assert_eq!(marks(&rig, &row).await, (false, false));
    label(&google, &row, &["UNREAD", "STARRED"], &[]);
    rig.sync().await;
    assert_eq!(marks(&rig, &row).await, (true, true));
    let labels = |google: &Shared| google.with(|google| google.mail.mails[0].labels.clone());
    let (runtime, thread) = (rig.host.runtime(), row.link.thread);
    runtime.set_read(thread, &ada(), false).await.expect("it is stored");
    runtime.set_to_do(thread, &ada(), false, None).await.expect("it is stored");
    rig.host.settle().await;
    assert_eq!(labels(&google), ["INBOX"]);
    rig.sync().await;
    assert_eq!(marks(&rig, &row).await, (false, false));
    runtime.set_read(thread, &ada(), true).await.expect("it is stored");
    runtime.set_to_do(thread, &ada(), true, None).await.expect("it is stored");
    rig.host.settle().await;
    assert_eq!(labels(&google), ["INBOX", "UNREAD", "STARRED"]);
}

/// R8.2: what is archived in Gmail is archived here, and comes back with an answer; what is deleted or spam goes.
#[tokio::test]
async fn what_leaves_the_inbox_is_archived() {
    let (google, rig, row) = synced("Lunch", "At noon?").await;
    label(&google, &row, &[], &["INBOX"]);
    rig.sync().await;
    assert!(rig.link("Lunch").await.link.archived);
    google.with(|google| {
        google.mail.receive(
            Some(&thread(&row)),
            "Re: Lunch",
            "Or at one?",
            "2026-01-01T00:02:00Z".parse().expect("a time"),
        )
    });
    rig.sync().await;
    let again = rig.link("Lunch").await;
    assert_eq!((again.link.archived, again.link.id, rig.notes(&again).await.len()), (false, row.link.id, 2));
    label(&google, &row, &["TRASH"], &["INBOX"]);
    rig.sync().await;
    assert!(rig.link("Lunch").await.link.archived);
}

/// L16: a conversation under several labels is in one channel, whichever of them is looked at last.
#[tokio::test]
async fn a_conversation_is_in_one_channel() {
    let google = Shared::default();
    receive(&google, "Lunch", "At noon?", |mail| mail.labels.push("Label_1".to_owned()));
    let rig = Rig::new(&google, &["mail:Label_1", "mail:INBOX"]).await;
    let row = rig.link("Lunch").await;
    let channel = async || {
        let row = rig.link("Lunch").await;
        (row.link.channel.to_string(), row.link.archived)
    };
    rig.sync().await;
    assert_eq!(channel().await, ("mail:INBOX".to_owned(), false));
    label(&google, &row, &["UNREAD"], &[]);
    rig.sync().await;
    assert_eq!(channel().await, ("mail:INBOX".to_owned(), false));
    label(&google, &row, &[], &["INBOX"]);
    rig.sync().await;
    assert_eq!(channel().await, ("mail:Label_1".to_owned(), false));
    label(&google, &row, &[], &["Label_1"]);
    rig.sync().await;
    assert!(channel().await.1);
}

/// A draft is nobody's business until it is sent.
#[tokio::test]
async fn drafts_do_not_show() {
    let (google, rig, row) = synced("Lunch", "At noon?").await;
    let at = "2026-01-01T00:00:30Z".parse().expect("a time");
    let mut draft = google.with(|google| google.mail.receive(Some(&thread(&row)), "Re: Lunch", "Wel", at));
    draft.labels = vec!["DRAFT".to_owned()];
    google.with(|google| google.mail.put(draft.clone()));
    receive(&google, "Only begun", "", |mail| mail.labels = vec!["DRAFT".to_owned()]);
    rig.sync().await;
    assert_eq!((rig.links().await.len(), rig.notes(&row).await.len()), (1, 1));
    draft.labels = vec!["SENT".to_owned()];
    google.with(|google| google.mail.put(draft));
    rig.sync().await;
    assert_eq!(rig.notes(&row).await.len(), 2);
}

/// R9.1, R9.3, R9.5: an answer goes to all, is in its conversation by Gmail's id and by its references, is formatted,
/// and comes back as the same note.
#[tokio::test]
async fn an_answer_goes_to_all() {
    let (google, rig, row) = synced("Lunch", "At noon?").await;
    let at = "2025-12-30T13:00:00Z".parse().expect("a time");
    google.with(|google| google.mail.receive(Some(&thread(&row)), "Re: Lunch", "Or at one?", at));
    rig.sync().await;
    let note = rig.reply(&row, "At **one**.").await;
    assert_eq!(note.note.delivery, Some(Delivery::Delivered));
    let mail = sent(&google);
    assert_eq!(mail.thread, thread(&row));
    let ids: Vec<_> =
        google.with(|google| google.mail.mails.iter().map(|mail| mail.header("Message-ID").to_owned()).collect());
    assert_eq!(mail.header("In-Reply-To"), ids[1]);
    assert!(mail.header("References").contains(&ids[1]), "{mail:?}");
    let to = (mail.header("To"), mail.header("Cc"));
    assert!(
        to.0.contains("grace@acme.test") && to.0.contains("bob@acme.test") && to.1.contains("carol@acme.test"),
        "{to:?}"
    );
    assert!(!to.0.contains(ADA) && mail.header("Bcc").is_empty(), "{mail:?}");
    assert!(mail.html.as_deref().is_some_and(|html| html.contains("<strong>one</strong>")), "{mail:?}");
    rig.sync().await;
    let notes = rig.notes(&row).await;
    assert_eq!((notes.len(), notes.iter().filter(|row| row.note.content == "At **one**.").count()), (3, 1));

    // The next one has them all.
    rig.reply(&row, "See you.").await;
    let references = sent(&google).header("References").to_owned();
    let last = mail.header("Message-ID");
    assert!(references.contains(&ids[1]) && references.trim_end().ends_with(last), "{references}");
}

/// RFC 5322 3.6.2: who wants to be answered elsewhere is.
#[tokio::test]
async fn an_answer_goes_where_it_is_wanted() {
    let google = Shared::default();
    receive(&google, "News", "All of it", |mail| {
        mail.headers.push(("Reply-To".to_owned(), "desk@acme.test".to_owned()));
    });
    let rig = Rig::new(&google, INBOX).await;
    rig.reply(&rig.link("News").await, "Thanks").await;
    let to = sent(&google).header("To").to_owned();
    assert!(to.contains("desk@acme.test") && to.contains("bob@acme.test") && !to.contains("grace@"), "{to}");
}

/// R9.5, L24: a mail is sent with its recipients in their roles; who is hidden stays so: to whoever shares the
/// conversation, and in what is answered.
#[tokio::test]
async fn hidden_recipients_stay_hidden() {
    let google = Shared::default();
    let rig = Rig::new(&google, INBOX).await;
    let to = |email: &str, role: &str| Recipient { actor: Actor::new(email).email(email), role: role.to_owned() };
    let compose = Compose {
        user: ada(),
        connection: rig.connection,
        channel: None,
        link_type: LinkTypeId::from_static("conversation"),
        status: None,
        title: "Lunch".to_owned(),
        content: Some("At noon?".to_owned()),
        recipients: vec![to("bob@acme.test", "to"), to("carol@acme.test", "cc"), to("dan@acme.test", "bcc")],
        attachments: Vec::new(),
        schedules: Vec::new(),
    };
    rig.host.runtime().compose(compose).await.expect("it is stored");
    rig.host.settle().await;
    let mail = sent(&google);
    let headers = (mail.header("To"), mail.header("Cc"), mail.header("Bcc"));
    assert!(headers.0.contains("bob@") && headers.1.contains("carol@") && headers.2.contains("dan@"), "{headers:?}");
    let row = rig.link("Lunch").await;
    assert_eq!((row.link.channel.as_str(), row.link.archived), ("mail:SENT", false));
    assert!(row.link.contacts.iter().all(|contact| contact.actor.id != "dan@acme.test"), "{:?}", row.link.contacts);
    rig.sync().await;
    assert!(!rig.link("Lunch").await.link.archived, "it stays where it was written");

    rig.reply(&row, "Or at one?").await;
    let mail = sent(&google);
    assert_eq!(mail.thread, thread(&row));
    assert!(mail.headers.iter().all(|(_, value)| !value.contains("dan@")), "{mail:?}");
    assert_eq!(rig.links().await.len(), 1);
}

/// L26: what a mail quotes is there already, as the mail that it answers.
#[tokio::test]
async fn quotations_are_left_out() {
    let text = "At one.\n\nOn 30 December 2025, Ada wrote:\n> At noon?";
    let (_, rig, row) = synced("Lunch", text).await;
    assert_eq!(rig.notes(&row).await[0].note.content, "At one.");
}

/// Puts a mail into the mailbox as it came.
fn receive_raw(google: &Shared, raw: &str) {
    let at = "2025-12-30T12:00:00Z".parse().expect("a time");
    google.with(|google| {
        let mut mail = google.mail.receive(None, "raw", "", at);
        let header = raw.replace("\n ", " ");
        let header = header.split("\n\n").next().unwrap_or_default().lines().filter_map(|line| line.split_once(": "));
        mail.headers = header.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        mail.raw = Some(raw.replace('\n', "\r\n").into_bytes());
        google.mail.put(mail);
    });
}

/// The notes of mails that came with these bytes: the content, and the names of the files.
async fn read_raw(raw: &str) -> (Rig, connector_core::engine::NoteRow) {
    let google = Shared::default();
    receive_raw(&google, raw);
    let rig = Rig::new(&google, INBOX).await;
    let links = rig.links().await;
    let note = rig.notes(&links[0]).await.remove(0);
    (rig, note)
}

macro_rules! case {
    ($name:literal) => {
        include_str!(concat!("../../../../connector-core/src/content/cases/", $name))
    };
}

/// RFC 8621 4.1.4: which parts of a mail are its text, and which its files.
#[tokio::test]
async fn the_parts_of_a_mail_are_found() {
    for (raw, content, files) in [
        (
            case!("04-bounce-rfc822.eml"),
            "Your mail could not be delivered: the mailbox of bo@other.test is full.",
            &["delivery-status.txt", "message.eml"][..],
        ),
        (
            case!("06-list-footer-html.eml"),
            "The release moves to Friday.\n\nYou get this because you are on the list.",
            &[],
        ),
        (
            case!("07-text-image-text.eml"),
            "Before the picture.\n\nAfter the picture: the meeting moves to Friday.",
            &["site.png"],
        ),
        (case!("08-empty-html-part.eml"), "The text is here only.", &[]),
        (
            case!("09-format-flowed.eml"),
            "This is one paragraph that the mail program of the author has broken into three lines, of which each but \
             the last one ends with a blank so that they can be put together again.\n\nFrom here on it is another \
             paragraph, and its first blank is stuffed.\n\\> is no quotation\n\\--\nBo",
            &[],
        ),
        (case!("11-inline-cid-no-name.eml"), "See the plan: ![plan](cid:plan@other.test)", &["image.png"]),
        (case!("50-from-encoded-comma.eml"), "Hello", &[]),
        (case!("51-parts-without-names.eml"), "You are invited.", &["invitation.ics", "attachment.bin"]),
    ] {
        let (_, row) = read_raw(raw).await;
        assert_eq!(row.note.content, content);
        let names: Vec<_> = row.note.attachments.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, files, "{content}");
    }
}

/// RFC 2392: a `cid:` in the text names a file that can be downloaded; one without a name can be too.
#[tokio::test]
async fn pictures_in_the_text_can_be_downloaded() {
    let (rig, row) = read_raw(case!("11-inline-cid-no-name.eml")).await;
    assert_eq!(row.note.attachments[0].content_id.as_deref(), Some("plan@other.test"));
    let owner = ada();
    let download = rig.host.run(rig.host.runtime().download(row.note.id, 0, &owner)).await.expect("the service works");
    let Download::Body { media_type, mut body, .. } = download else { panic!("there is a file") };
    let first = body.next().await.expect("a chunk").expect("bytes");
    assert_eq!((media_type.as_str(), &first[..]), ("image/png", &b"\x89PNG\r\n\x1a\n"[..]));
}

/// Names of files and people that senders write in odd ways.
#[tokio::test]
async fn names_are_decoded_and_harmless() {
    let (_, row) = read_raw(case!("ok-file-names.eml")).await;
    let names: Vec<_> = row.note.attachments.iter().map(|file| file.name.clone()).collect();
    assert_eq!(names, ["gpj.ملف'X.exe", "passwd"]);
    let (rig, row) = read_raw(case!("50-from-encoded-comma.eml")).await;
    let connector_core::model::Author::Person(author) = &row.note.author else { panic!("{:?}", row.note.author) };
    assert_eq!((author.name.as_deref(), author.id.as_str()), (Some("Müller, Jörg"), "joerg@other.test"));
    let to: Vec<_> = row.note.recipients.iter().map(|to| to.actor.name.clone().unwrap_or_default()).collect();
    assert_eq!(to, ["Brun, Ann (HR)", "ada@acme.test"]);
    assert!(rig.link("Änderung").await.link.title.is_some());
}

/// A mail that is forwarded is nowhere else; the one that is answered is, unless it came before the conversation.
#[tokio::test]
async fn forwarded_mails_stay_and_unknown_ones_too() {
    let google = Shared::default();
    let quoted = "At one.\n\nOn 30 December 2025, Ada <ada@acme.test> wrote:\n> At noon?";
    receive(&google, "Fwd: Lunch", quoted, |_| {});
    receive(&google, "Dinner", quoted, |mail| {
        mail.headers.push(("In-Reply-To".to_owned(), "<elsewhere@acme.test>".to_owned()));
    });
    receive(
        &google,
        "Tea",
        "At one.\n\n---------- Forwarded message ---------\nFrom: Bo <bo@a.test>\nDate: today\nSubject: Tea\nTo: Ada\n\nAt noon?",
        |_| {},
    );
    let rig = Rig::new(&google, INBOX).await;
    for title in ["Fwd: Lunch", "Dinner", "Tea"] {
        let content = rig.notes(&rig.link(title).await).await[0].note.content.clone();
        let (own, rest) = content.split_once("\n\n").expect("two parts");
        assert_eq!(own, "At one.");
        assert!(rest.lines().all(|line| line.starts_with('>')) && rest.contains("At noon?"), "{content}");
    }
}

/// L20, R6.5: a mail is sent once, whatever Gmail answers to the look at what was sent.
#[tokio::test]
async fn a_composed_mail_is_sent_once() {
    for refused in [(404, 1), (404, 1000), (503, 1000)] {
        let google = Shared::default();
        let rig = Rig::new(&google, INBOX).await;
        google.with(|google| google.mail.refused = Some(refused));
        let to = Recipient { actor: Actor::new("bob@acme.test").email("bob@acme.test"), role: "to".to_owned() };
        let compose = Compose {
            user: ada(),
            connection: rig.connection,
            channel: None,
            link_type: LinkTypeId::from_static("conversation"),
            status: None,
            title: "Lunch".to_owned(),
            content: Some("At **noon**?".to_owned()),
            recipients: vec![to],
            attachments: Vec::new(),
            schedules: Vec::new(),
        };
        rig.host.runtime().compose(compose).await.expect("it is stored");
        rig.host.settle().await;
        for _ in 0..10 {
            rig.host.advance(crate::rig::minutes(1)).await;
        }
        let sends =
            google.with(|google| google.changes.iter().filter(|(_, path, _)| path.ends_with("messages/send")).count());
        assert_eq!(sends, 1, "{refused:?}");
        google.with(|google| google.mail.refused = None);
        let row = rig.link("Lunch").await;
        assert_eq!(row.link.delivery, Some(Delivery::Delivered), "{refused:?}");
        assert_eq!(thread(&row), sent(&google).thread);
        rig.sync().await;
        let notes = rig.notes(&rig.link("Lunch").await).await;
        assert_eq!((rig.links().await.len(), notes.len(), notes[0].note.content.as_str()), (1, 1, "At **noon**?"));
    }
}

/// R9.5, RFC 5322 3.6.4: an answer comes from the address that the mail was sent to; none of the user's own addresses
/// gets it, and its id is one of the sender's domain.
#[tokio::test]
async fn an_answer_comes_from_the_address_that_was_written_to() {
    let google = Shared::default();
    google.with(|google| {
        google.mail.aliases = vec![("desk@acme.test".to_owned(), true), ("new@acme.test".to_owned(), false)];
    });
    receive(&google, "Lunch", "At noon?", |mail| {
        mail.headers.retain(|(name, _)| name != "To");
        mail.headers.push(("To".to_owned(), "Desk <Desk@acme.test>, bob@acme.test, BOB@acme.test".to_owned()));
    });
    let rig = Rig::new(&google, INBOX).await;
    rig.reply(&rig.link("Lunch").await, "Yes").await;
    let mail = sent(&google);
    assert!(mail.header("From").contains("desk@acme.test"), "{}", mail.header("From"));
    let to = mail.header("To").to_ascii_lowercase();
    assert!(!to.contains("desk@") && !to.contains(ADA), "{to}");
    assert_eq!(to.matches("bob@acme.test").count(), 1, "{to}");
    let raw = google.with(|google| google.changes.last().expect("it was sent").2["raw"].clone());
    let raw = base64::prelude::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, raw.as_str().expect("a text"));
    let raw = String::from_utf8(raw.expect("base64")).expect("UTF-8");
    assert!(raw.lines().any(|line| line.starts_with("Message-ID: <") && line.ends_with("@acme.test>")), "{raw}");
}

/// R9.1, R10.4: an attachment is fetched when someone wants it, by what stays the same; one that is gone is gone.
#[tokio::test]
async fn attachments_are_streamed() {
    let google = Shared::default();
    let plan: Vec<u8> = (0..100_000_u32).map(|byte| byte as u8).collect();
    let bytes = plan.clone();
    receive(&google, "Plan", "See there", |mail| {
        mail.files.push(("plan.pdf".to_owned(), "application/pdf".to_owned(), bytes))
    });
    let rig = Rig::new(&google, INBOX).await;
    let row = rig.link("Plan").await;
    let before = rig.notes(&row).await.remove(0);
    label(&google, &row, &["UNREAD"], &[]);
    for _ in 0..4 {
        rig.sync().await;
    }
    let after = rig.notes(&row).await.remove(0);
    assert_eq!(after.version, before.version, "what has not changed is not stored again");
    let download = async || {
        let owner = ada();
        let download = rig.host.runtime().download(after.note.id, 0, &owner);
        rig.host.run(download).await.expect("the service works")
    };
    let Download::Body { name, media_type, mut body } = download().await else { panic!("there is a file") };
    assert_eq!((name.as_str(), media_type.as_str()), ("plan.pdf", "application/pdf"));
    let mut read = Vec::new();
    while let Some(chunk) = body.next().await {
        read.extend_from_slice(&chunk.expect("bytes"));
    }
    assert!(read == plan, "{} of {} bytes", read.len(), plan.len());
    google.with(|google| google.mail.mails[0].files.clear());
    assert!(matches!(download().await, Download::Gone));
}

/// R9.1, R10.4: a user's files go out with their mail, encoded while they are sent, and come back as the mail's own.
#[tokio::test]
async fn files_are_sent_with_a_mail() {
    let (google, rig, row) = synced("Plan", "Have you got it?").await;
    let plan: Vec<u8> = (0..600_001_u32).map(|byte| byte as u8).collect();
    let files = vec![
        rig.host.upload(&ada(), "plan \"b\".pdf", "application/pdf\r\nX-Forged: 1", plan.clone()).await,
        rig.host.upload(&ada(), "note.txt", "text/plain", "soup").await,
    ];
    let note = rig.reply_with(&row, "Here *it* is", files).await.note;
    assert_eq!(note.delivery, Some(Delivery::Delivered));
    let mail = sent(&google);
    assert_eq!(mail.thread, thread(&row));
    assert!(mail.html.as_deref().is_some_and(|html| html.contains("<em>it</em>")), "{:?}", mail.html);
    let names: Vec<_> = mail.files.iter().map(|(name, _, bytes)| (name.as_str(), bytes.len())).collect();
    assert_eq!(names, [("plan \"b\".pdf", 600_001), ("note.txt", 4)]);
    assert!(mail.files[0].2 == plan && mail.files[1].2 == b"soup");
    assert!(mail.headers.iter().all(|(name, _)| name != "X-Forged"), "{:?}", mail.headers);

    rig.sync().await;
    let notes = rig.notes(&row).await;
    let known = &notes.iter().find(|row| row.note.id == note.id).expect("the note is there").note;
    assert_eq!((notes.len(), known.attachments.len(), known.files().count()), (2, 2, 0), "{known:?}");

    // What Gmail would not take is refused before anything is sent.
    let many = rig.host.upload(&ada(), "film.mp4", "video/mp4", vec![0; (25 << 20) + 1]).await;
    let note = rig.reply_with(&row, "And this", vec![many]).await.note;
    let Some(Delivery::Failed { reason }) = &note.delivery else { panic!("{:?}", note.delivery) };
    assert!(reason.contains("25 MB"), "{reason}");
    assert_eq!(google.with(|google| google.mail.mails.len()), 2);
}

/// R6.6, R11.1: what Gmail forgot is walked again.
#[tokio::test]
async fn a_forgotten_history_is_recovered_from() {
    let (google, rig, row) = synced("Lunch", "At noon?").await;
    // The model forgets now and then.
    for number in 0..12 {
        let at = rig.now();
        google.with(|google| google.mail.receive(Some(&thread(&row)), "Re: Lunch", &format!("Number {number}."), at));
        rig.sync().await;
        assert_eq!(rig.notes(&row).await.len(), number + 2);
    }
}
