use connector_core::engine::FeedKind;
use connector_core::model::LinkFilter;
use connector_core::prelude::*;

use crate::fixture::{Bench, Lab, Ticket, TicketMeta, ada, at, grace, handler, lab_for, note, on, source, ticket};

/// R8.2, R8.3
#[tokio::test]
async fn a_link_is_upserted_by_its_source() {
    let bench = Bench::enabled().await;
    bench
        .save([ticket(1)
            .preview("p")
            .url("https://x")
            .assignee(Some(ada()))
            .contacts([Contact::new(grace()).role("cc")])])
        .await;
    let before = bench.links().await.remove(0);
    assert_eq!(before.link.meta::<Ticket>().unwrap(), TicketMeta { number: 1 });
    assert_eq!(before.link.typed_status::<Ticket>().unwrap() as u8, Ticket::Open as u8);
    // What is left out stays; what is given changes.
    let again =
        NewLink::new(Ticket::Closed.with(TicketMeta { number: 7 }), source(1), ChannelId::from("two"), ada(), at(9));
    bench.save([again]).await;
    let links = bench.links().await;
    assert_eq!(links.len(), 1);
    let after = &links[0].link;
    assert_eq!((after.id, after.thread), (before.link.id, before.link.thread));
    assert_eq!(
        (after.title.as_deref(), after.preview.as_deref(), after.url.as_deref()),
        (Some("Ticket 1"), Some("p"), Some("https://x"))
    );
    assert_eq!((after.assignee.as_ref(), after.contacts.len()), (Some(&ada()), 1));
    assert_eq!((after.status.as_ref().map(StatusId::as_str), after.channel.as_str()), (Some("closed"), "two"));
    assert_eq!(after.meta::<Ticket>().unwrap(), TicketMeta { number: 7 });
    bench.save([ticket(1).assignee(None).contacts([])]).await;
    let after = bench.links().await.remove(0).link;
    assert_eq!((after.assignee, after.contacts), (None, vec![]));
}

/// R8.3: what has not changed is not written, and tells nobody.
#[tokio::test]
async fn saving_the_same_again_changes_nothing() {
    let bench = Bench::enabled().await;
    let save = || [ticket(1).notes([note(1, "a", "x")])];
    bench.save(save()).await;
    let (link, engine) = (bench.links().await.remove(0), &bench.runtime().ports().engine);
    let (notes, end) = (bench.notes(link.id()).await, engine.feed_end().await.unwrap());
    let saved = bench.channel("one").await.sync.saved;
    bench.save(save()).await;
    assert_eq!(bench.links().await, std::slice::from_ref(&link));
    assert_eq!(bench.notes(link.id()).await, notes);
    let feed = engine.feed(end, 99).await.unwrap();
    assert!(feed.iter().all(|entry| entry.kind == FeedKind::Connection), "{feed:?}");
    assert_eq!(bench.channel("one").await.sync.saved, saved);
}

/// R8.3, R8.4: what only changes never creates; absent and null differ.
#[tokio::test]
async fn patches_change_and_cannot_create() {
    let bench = Bench::enabled().await;
    bench
        .run(|cx| async move {
            let links = cx.integrations();
            links.patch_link(LinkPatch::new(source(1)).title("no")).await?;
            links.save_link(ticket(2).update_only()).await?;
            let report = links.save_notes([note(2, "a", "x")]).await?;
            assert_eq!(report.failed.len(), 1, "a link that is only updated may not be there");
            links.save_link(ticket(3).assignee(Some(ada()))).await.map(drop)
        })
        .await;
    assert_eq!(bench.links().await.len(), 1);
    let patch = async |patch: LinkPatch| {
        bench
            .run(move |cx| {
                let patch = patch.clone();
                async move { cx.integrations().patch_link(patch).await }
            })
            .await;
        bench.link(&source(3)).await.unwrap().link
    };
    let link = patch(LinkPatch::new(source(3)).status(Ticket::Closed)).await;
    assert_eq!(
        (link.title.as_deref(), link.assignee, link.status),
        (Some("Ticket 3"), Some(ada()), Some("closed".into()))
    );
    let link = patch(LinkPatch::new(source(3)).assignee(None).title("New")).await;
    assert_eq!((link.title.as_deref(), link.assignee), (Some("New"), None));
    bench.save([ticket(3).title("Newer").update_only()]).await;
    assert_eq!(bench.link(&source(3)).await.unwrap().link.title.as_deref(), Some("Newer"));
}

/// R8.2, L7
#[tokio::test]
async fn a_bad_item_fails_alone() {
    let bench = Bench::enabled().await;
    let report = bench
        .run(|cx| async move {
            let bad_status = ticket(2).dynamic_status("nope");
            let bad_role = ticket(3).contacts([Contact::new(ada()).role("bcc")]);
            let bad_source = NewLink::new(
                Ticket::Open.with(TicketMeta { number: 1 }),
                Source::from_text(""),
                ChannelId::from("one"),
                grace(),
                at(0),
            );
            let bad_meta = NewLink::new(crate::fixture::Memo::Draft, source(5), ChannelId::from("one"), grace(), at(0));
            let meta = TicketMeta { number: 6 };
            let bad_channel =
                NewLink::new(Ticket::Open.with(meta), source(6), ChannelId::from("nowhere"), grace(), at(0));
            let report = cx
                .integrations()
                .save_links([
                    ticket(1),
                    bad_status.notes([note(2, "a", "x")]),
                    bad_role,
                    bad_source,
                    bad_meta,
                    bad_channel,
                    ticket(4),
                ])
                .await?;
            assert_eq!(
                cx.integrations().save_link(ticket(9).dynamic_status("nope")).await.unwrap_err().kind(),
                &ErrorKind::Bug
            );
            Ok(report)
        })
        .await;
    assert_eq!((report.saved, report.failed.len()), (2, 5));
    assert!(report.failed[0].message.contains("nope") && report.failed[0].source_text == source(2).to_string());
    assert!(report.failed[1].message.contains("bcc"));
    assert!(report.failed[3].message.contains("memo"));
    assert!(report.failed[4].message.contains("there is no channel `nowhere`"));
    assert_eq!(bench.links().await.len(), 2);
}

/// R8.2
#[tokio::test]
async fn notes_are_upserted_within_their_link() {
    let bench = Bench::enabled().await;
    bench.save([ticket(1), ticket(2)]).await;
    let report = bench
        .run(|cx| async move {
            let url = note(1, "a", "one").url("https://n").reactions([Reaction::new(Emoji::unicode("👍"), ada())]);
            cx.integrations()
                .save_notes([
                    url,
                    note(2, "a", "other link"),
                    note(77, "a", "no link"),
                    note(1, "b", "two").reply_to("a"),
                ])
                .await
        })
        .await;
    assert_eq!((report.saved, report.failed.len()), (3, 1));
    assert!(report.failed[0].message.contains("save its link first"));
    bench.save_notes([note(1, "a", "uno").updated_at(at(50))]).await;
    let (first, second) = (bench.link(&source(1)).await.unwrap().id(), bench.link(&source(2)).await.unwrap().id());
    let notes = bench.notes(first).await;
    assert_eq!((notes.len(), bench.notes(second).await.len()), (2, 1));
    let a = &notes.iter().find(|row| row.note.key == Some("a".into())).unwrap().note;
    assert_eq!(
        (a.content.as_str(), a.url.as_deref(), a.reactions.len(), a.updated_at),
        ("uno", Some("https://n"), 1, at(50))
    );
    let refused = bench.fails(|cx| async move { cx.integrations().save_note(note(77, "a", "no link")).await }).await;
    assert!(refused.to_string().contains("save its link first"));
}

/// R8.2: a link and its notes in one call, and two versions of one in one call.
#[tokio::test]
async fn the_last_of_two_in_one_dispatch_counts() {
    let bench = Bench::enabled().await;
    bench
        .save([
            ticket(1).notes([note(1, "a", "first")]),
            ticket(1).title("Later").notes([note(1, "a", "second"), note(1, "b", "x")]),
        ])
        .await;
    let links = bench.links().await;
    assert_eq!((links.len(), links[0].link.title.as_deref()), (1, Some("Later")));
    let notes = bench.notes(links[0].id()).await;
    assert_eq!(notes.iter().map(|row| row.note.content.as_str()).collect::<Vec<_>>(), ["second", "x"]);
}

/// R8.2
#[tokio::test]
async fn links_and_notes_are_archived_by_filter() {
    let bench = Bench::enabled().await;
    let in_two =
        NewLink::new(Ticket::Open.with(TicketMeta { number: 3 }), source(3), ChannelId::from("two"), grace(), at(5));
    bench.save([ticket(1).notes([note(1, "a", "x"), note(1, "b", "y")]), ticket(2), in_two]).await;
    let archived = async || -> Vec<bool> { bench.links().await.iter().map(|row| row.link.archived).collect() };
    let archive = async |filter: LinkFilter| {
        bench
            .run(move |cx| {
                let filter = filter.clone();
                async move { cx.integrations().archive_links(filter).await }
            })
            .await;
    };
    archive(LinkFilter::channel(ChannelId::from("one")).before(at(0))).await;
    assert_eq!(archived().await, [false, false, false]);
    archive(LinkFilter::sources([source(2), source(99)])).await;
    assert_eq!(archived().await, [false, true, false]);
    archive(LinkFilter::channel(ChannelId::from("two")).of::<Ticket>()).await;
    assert_eq!(archived().await, [false, true, true]);
    // What the service has again is current again.
    bench.save([ticket(2)]).await;
    assert_eq!(archived().await, [false, false, true]);
    // Saved and archived in one dispatch.
    bench
        .run(|cx| async move {
            cx.integrations().save_link(ticket(8)).await?;
            cx.integrations().archive_links(LinkFilter::sources([source(8)])).await
        })
        .await;
    assert!(bench.link(&source(8)).await.unwrap().link.archived);

    let id = bench.link(&source(1)).await.unwrap().id();
    bench
        .run(|cx| async move { cx.integrations().archive_notes(NoteFilter::keys(source(1), ["b".into()])).await })
        .await;
    let notes = async || -> Vec<bool> { bench.notes(id).await.iter().map(|row| row.note.archived).collect() };
    assert_eq!(notes().await, [false, true]);
    bench.save_notes([note(1, "b", "y")]).await;
    assert_eq!(notes().await, [false, false]);
    bench.run(|cx| async move { cx.integrations().archive_notes(NoteFilter::all(source(1))).await }).await;
    assert_eq!(notes().await, [true, true]);
}

/// R8.2
#[tokio::test]
async fn reactions_are_replaced_as_a_whole() {
    let bench = Bench::enabled().await;
    bench.save([ticket(1).notes([note(1, "a", "x")])]).await;
    let set = async |reactions: Vec<Reaction>| {
        bench
            .run(move |cx| {
                let reactions = reactions.clone();
                async move {
                    cx.integrations().set_note_reactions(NoteRef::new(source(1), "none"), []).await?;
                    cx.integrations().set_note_reactions(NoteRef::new(source(1), "a"), reactions).await
                }
            })
            .await;
        bench.notes(bench.links().await[0].id()).await.remove(0).note.reactions
    };
    let thumb = Reaction::new(Emoji::unicode("👍"), ada());
    let party = Reaction::new(Emoji::custom("party"), grace());
    assert_eq!(set(vec![thumb.clone(), party.clone()]).await, [thumb, party.clone()]);
    assert_eq!(set(vec![party.clone()]).await, [party]);
    assert_eq!(set(vec![]).await, []);
}

/// R8.2
#[tokio::test]
async fn people_and_emoji_are_stored_once() {
    let bench = Bench::enabled().await;
    let save = async |name: &'static str| {
        bench
            .run(move |cx| async move {
                cx.integrations().save_contacts([grace().name(name), ada()]).await?;
                let url = "https://e".to_owned();
                cx.integrations()
                    .save_custom_emoji([connector_core::model::CustomEmoji { name: "party".into(), url }])
                    .await
            })
            .await;
        bench.runtime().state(bench.connection, "host:h/contact").await.unwrap()
    };
    save("Grace").await;
    let contacts = save("Grace H.").await;
    assert_eq!(contacts.len(), 2);
    assert!(contacts.iter().any(|(_, value)| value["name"] == "Grace H."), "{contacts:?}");
    assert_eq!(bench.runtime().state(bench.connection, "host:h/emoji").await.unwrap().len(), 1);
}

/// R8.5, L21: live news are unread, but not what the owner did; a backfill changes no marks.
#[tokio::test]
async fn only_news_of_others_are_unread() {
    let bench = Bench::new().await;
    on(|handlers| {
        handlers.items = Some(handler(|cx: Context<Lab>, (_, cursor): (ChannelId, Option<u64>)| async move {
            let number = cursor.unwrap_or(10);
            cx.integrations().save_link(ticket(number).notes([note(number, "a", "x")])).await?;
            Ok(Step::Done(number + 1))
        }));
    });
    bench.enable("one").await;
    let marks = async |number: u64| bench.marks(bench.link(&source(number)).await.unwrap().link.thread, "ada").await;
    assert_eq!(marks(10).await, (false, false, false), "backfill");
    bench.advance("15m").await;
    assert_eq!(marks(11).await, (true, false, false), "live");

    let own =
        NewLink::new(Ticket::Open.with(TicketMeta { number: 1 }), source(1), ChannelId::from("one"), ada(), at(0));
    let owner = NewLink::new(
        Ticket::Open.with(TicketMeta { number: 2 }),
        source(2),
        ChannelId::from("one"),
        Author::Owner,
        at(0),
    );
    let system = NewLink::new(
        Ticket::Open.with(TicketMeta { number: 3 }),
        source(3),
        ChannelId::from("one"),
        Author::system("cron"),
        at(0),
    );
    bench.save([own, owner, system, ticket(4).provider_read(true), ticket(5)]).await;
    for (number, unread) in [(1, false), (2, false), (3, false), (4, false), (5, true)] {
        assert_eq!(marks(number).await.0, unread, "{number}");
    }
    // A change of an item is no news; a note of another is; the owner's own is not.
    bench.save([ticket(4).title("Changed")]).await;
    assert!(!marks(4).await.0);
    bench.save_notes([NewNote::new(source(4), "mine", ada(), at(1), Content::text("me"))]).await;
    assert!(!marks(4).await.0);
    bench.save_notes([note(4, "hers", "her")]).await;
    assert!(marks(4).await.0);
    bench.save_notes([note(5, "a", "x")]).await;
    // Read at the service.
    bench.save([ticket(4).provider_read(true), ticket(5).provider_read(true)]).await;
    assert!(!marks(4).await.0 && !marks(5).await.0);
    bench.save([ticket(5).provider_read(false)]).await;
    assert!(marks(5).await.0);
    bench.save_notes([note(4, "hers", "her")]).await;
    assert!(!marks(4).await.0, "the same note again is no news");
}

/// R8.5
#[tokio::test]
async fn a_backfill_leaves_the_archive_alone_unless_it_is_told() {
    let bench = Bench::enabled().await;
    bench.save([ticket(1), ticket(2)]).await;
    let thread = async |number: u64| bench.link(&source(number)).await.unwrap().link.thread;
    let (one, two) = (thread(1).await, thread(2).await);
    let archive = async |thread| {
        let mut row =
            bench.runtime().ports().engine.user_threads("ada".into(), vec![thread]).await.unwrap().remove(0).unwrap();
        let expect = Some(row.version);
        row.archived = true;
        let write = connector_core::engine::Write::PutUserThread { row, expect };
        bench.runtime().ports().engine.commit(connector_core::engine::WriteSet::of([write])).await.unwrap();
    };
    archive(one).await;
    archive(two).await;
    on(|handlers| {
        handlers.items = Some(handler(|cx: Context<Lab>, (_, cursor): (ChannelId, Option<u64>)| async move {
            if cursor == Some(0) {
                return Err(Error::cursor_expired("old"));
            }
            assert_eq!(cx.mode(), Mode::Recovery);
            cx.integrations().save_links([ticket(1).notes([note(1, "r", "r")]), ticket(2).unarchive()]).await?;
            Ok(Step::Done(5))
        }));
    });
    bench.advance("15m").await;
    assert!(bench.dead().await.is_empty());
    assert!(bench.marks(one, "ada").await.2);
    assert!(!bench.marks(two, "ada").await.2);
    bench.save_notes([note(1, "live", "l")]).await;
    assert_eq!(bench.marks(one, "ada").await, (true, false, false));
}

/// R8.7
#[tokio::test]
async fn items_older_than_the_history_limit_are_left_out() {
    let bench = Bench::new().await;
    let mut request = lab_for("bob");
    request.history_days = Some(10);
    let bob = bench.runtime().connect(request).await.unwrap().id;
    let day = 86_400;
    let outcome = bench
        .queue_on(bob, move |cx| async move {
            assert_eq!(cx.integrations().earliest(), Some(at(-10 * day)));
            let old = |number, days: i64| {
                NewLink::new(
                    Ticket::Open.with(TicketMeta { number }),
                    source(number),
                    ChannelId::from("one"),
                    grace(),
                    at(-days * day),
                )
            };
            cx.integrations()
                .save_links([
                    old(1, 11).notes([note(1, "a", "x")]),
                    old(2, 11).updated_at(at(-day)),
                    old(3, 11).recurring(),
                    old(4, 9),
                ])
                .await
        })
        .await;
    bench.host.settle().await;
    let report = outcome.lock().unwrap().pop().unwrap().unwrap();
    assert_eq!((report.saved, report.filtered, report.failed.len()), (3, 1, 0));
    assert!(bench.link(&source(1)).await.is_none());
    assert_eq!(bench.links().await.len(), 3);
}

/// R8.6, L26
#[tokio::test]
async fn content_is_stored_as_markdown() {
    let bench = Bench::enabled().await;
    let of = |key: &str, content| NewNote::new(source(1), key, grace(), at(0), content);
    bench
        .save([ticket(1).title("  Two\n lines ").notes([
            of("t", Content::text("*not* bold")),
            of("m", Content::markdown("*bold*\r\n")),
            of("h", Content::html("<p>Hi <b>you</b></p>")),
        ])])
        .await;
    let link = bench.links().await.remove(0);
    assert_eq!(link.link.title.as_deref(), Some("Two lines"));
    let notes = bench.notes(link.id()).await;
    let of = |key: &str| notes.iter().find(|row| row.note.key == Some(key.into())).unwrap().note.content.clone();
    assert_eq!([of("t"), of("m"), of("h")], ["\\*not\\* bold", "*bold*", "Hi **you**"]);
}

/// R8.2: the owner made it a to-do at the service.
#[tokio::test]
async fn a_to_do_of_the_service_is_the_owners() {
    let bench = Bench::enabled().await;
    bench.save([ticket(1)]).await;
    let thread = bench.links().await[0].link.thread;
    bench
        .run(|cx| async move {
            cx.integrations().set_thread_to_do(source(99), true, None).await?;
            cx.integrations().set_thread_to_do(source(1), true, Some(jiff::civil::date(2026, 1, 5))).await
        })
        .await;
    assert!(bench.marks(thread, "ada").await.1);
    assert!(bench.tasks_of("on_thread_to_do").await.is_empty(), "no echo");
    bench.run(|cx| async move { cx.integrations().set_thread_to_do(source(1), false, None).await }).await;
    assert!(!bench.marks(thread, "ada").await.1);
}

/// R8.1
#[tokio::test]
async fn the_token_is_that_of_an_enabled_channel() {
    let bench = Bench::enabled().await;
    let tokens = bench
        .run(|cx| async move {
            let of = async |channel: &'static str| {
                Ok::<_, Error>(
                    cx.integrations().token(ChannelId::from(channel)).await?.map(|token| token.expose().to_owned()),
                )
            };
            Ok((of("one").await?, of("two").await?, of("none").await?))
        })
        .await;
    assert_eq!(tokens, (Some("token".to_owned()), None, None));
}

/// R8.2: a title is one line without blanks around it, of at most 500 characters; else it stays as it is.
#[tokio::test]
async fn a_title_is_one_line() {
    let bench = Bench::enabled().await;
    let (long, shortened) = ("é".repeat(1_000), "é".repeat(500));
    let titles = [
        (" padded ", "padded"),
        ("two  blanks", "two  blanks"),
        ("a\nb\tc", "a b c"),
        (shortened.as_str(), shortened.as_str()),
        (long.as_str(), shortened.as_str()),
    ];
    for (number, (given, kept)) in (1..).zip(titles) {
        bench.save([ticket(number).title(given)]).await;
        let links = bench.links().await;
        let link = links.iter().find(|row| row.link.source == source(number)).unwrap();
        assert_eq!(link.link.title.as_deref(), Some(kept));
    }
}
