//! What is the SQLite engine's own, beside the rules of every engine.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use connector_core::credential::Credential;
use connector_core::engine::{After, Completion, Expect, FeedEntry, FeedKind, KeyedTask, TaskPriority, Write};
use connector_core::ports::{SealContext, Vault as _};
use connector_core::secret::Secret;
use serde_json::json;

use super::*;
use crate::vault::KeyVault;

/// A directory that goes with the test.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("connector-sqlite-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn database(&self) -> PathBuf {
        self.0.join("test.db")
    }

    fn open(&self) -> SqliteEngine {
        SqliteEngine::open(&self.database(), options()).unwrap()
    }

    fn refused(&self) -> EngineError {
        SqliteEngine::open(&self.database(), options()).unwrap_err()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn options() -> SqliteOptions {
    SqliteOptions { log_size: 256 * 1024, ..SqliteOptions::default() }
}

const CONNECTION: ConnectionId = ConnectionId::from_number(1);

fn task(id: i64) -> TaskRow {
    TaskRow {
        id: TaskId::from_number(id),
        connection: CONNECTION,
        run_at: None,
        attempt: 0,
        revision: 0,
        key: None,
        channel: None,
        priority: TaskPriority::Incremental,
        every_ms: None,
        payload: Bytes::from_static(b"payload"),
        errors: Vec::new(),
        nonce: None,
    }
}

fn put_task(id: i64) -> Write {
    Write::PutTask { task: task(id), keyed: KeyedTask::Keep }
}

fn put_state(key: &str, bytes: usize) -> Write {
    Write::PutState { connection: CONNECTION, key: key.to_owned(), value: vec![7; bytes].into() }
}

fn link(id: i64, source: &str, title: &str) -> LinkRow {
    let link = json!({
        "id": format!("lnk_{id}"), "thread": format!("thr_{id}"), "source": source, "type": "issue", "channel": "repo", "title": title,
        "author": {"kind": "owner"}, "occurred_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-02T03:04:05.123456Z",
        "meta": {"number": 0.1 + 0.2, "large": u64::MAX, "text": "\u{0}\u{1f600}\\"},
    });
    LinkRow::new(CONNECTION, serde_json::from_value(link).unwrap())
}

fn put_link(row: &LinkRow) -> Write {
    Write::PutLink { row: Box::new(row.clone()), expect: None }
}

/// The tasks that wait after these writes, as the engine says.
async fn waits(engine: &SqliteEngine, writes: impl IntoIterator<Item = Write>) -> Vec<TaskRow> {
    let committed = engine.commit(WriteSet::of(writes)).await.unwrap();
    let row = |change| match change {
        connector_core::engine::TaskChange::Waits(row) => Some(row),
        _ => None,
    };
    committed.tasks.into_iter().filter_map(row).collect()
}

fn done(task: &TaskRow) -> WriteSet {
    let completes = Completion { task: task.id, revision: task.revision, then: After::Delete };
    WriteSet { connection: Some(task.connection), completes: Some(completes), ..WriteSet::default() }
}

/// R7.1
#[tokio::test]
async fn a_database_that_was_closed_holds_everything() {
    let place = Place::new();
    let row = link(5, "github:5", "A title");
    let engine = place.open();
    assert!(!engine.unclean_start());
    let writes = [
        put_link(&row),
        put_task(6),
        put_state("cursor", 10),
        Write::Feed(FeedEntry::new(FeedKind::Link, CONNECTION, row.id())),
    ];
    engine.commit(WriteSet::of(writes)).await.unwrap();
    engine.close().await.unwrap();
    assert!(matches!(engine.commit(WriteSet::of([put_task(7)])).await, Err(CommitError::Engine(EngineError::Closed))));
    assert!(matches!(engine.counts().await, Err(EngineError::Closed)));
    engine.close().await.unwrap();
    drop(engine);
    assert!(!writer::log_path(&place.database()).exists(), "a closed database is one file");

    let engine = place.open();
    assert!(!engine.unclean_start());
    assert_eq!(engine.link(row.id()).await.unwrap(), Some(LinkRow { version: 1, ..row }));
    assert_eq!(engine.feed_end().await.unwrap(), 1);
    assert_eq!(engine.counts().await.unwrap(), Counts { links: 1, tasks: 1, ..Counts::default() });
    let committed =
        engine.commit(WriteSet::of([Write::Feed(FeedEntry::thread(ThreadId::from_number(9)))])).await.unwrap();
    assert_eq!(committed.feed_end, Some(2));
}

/// R7.4: what a process that was killed had committed is there, and no id comes twice.
#[tokio::test]
async fn a_database_that_was_not_closed_says_so_and_repeats_no_id() {
    let place = Place::new();
    let mut greatest = 0;
    for round in 0..3 {
        let engine = place.open();
        assert_eq!(engine.unclean_start(), round > 0);
        let first = engine.take_ids(1);
        assert!(first > greatest, "{first} was taken before: {greatest}");
        // More than a block is reserved ahead, and the last one is stored.
        greatest = engine.take_ids(25_000) + 24_999;
        engine.commit(WriteSet::of([put_task(greatest)])).await.unwrap();
        assert_eq!(engine.counts().await.unwrap().tasks, round + 1);
    }
}

/// Ids that no commit knows are not repeated either, once the writer had the time to raise the bound.
#[tokio::test]
async fn ids_that_were_only_taken_are_not_repeated() {
    let place = Place::new();
    let engine = place.open();
    let last = engine.take_ids(12_345) + 12_344;
    drop(engine);
    assert!(place.open().take_ids(1) > last);
}

#[tokio::test]
async fn a_second_host_is_refused_and_learns_who_the_first_is() {
    let place = Place::new();
    assert_eq!(SqliteEngine::holder_info(&place.database()), None);
    let engine = SqliteEngine::open(
        &place.database(),
        SqliteOptions { info: vec![("listen".into(), "127.0.0.1:1".into())], ..options() },
    )
    .unwrap();
    let pid = ("pid".to_owned(), std::process::id().to_string());
    let said = |address: &str| Some(vec![pid.clone(), ("listen".to_owned(), address.to_owned())]);
    assert_eq!(SqliteEngine::holder_info(&place.database()), said("127.0.0.1:1"));
    engine.set_lock_info(&[("listen".into(), "127.0.0.1:4711\n".into())]).unwrap();
    assert_eq!(SqliteEngine::holder_info(&place.database()), said("127.0.0.1:4711 "));
    let error = place.refused();
    assert!(matches!(&error, EngineError::InUse { holder, .. } if *holder == format!(" (pid {})", pid.1)), "{error}");

    engine.commit(WriteSet::of([put_task(1)])).await.unwrap();
    engine.close().await.unwrap();
    assert_eq!(SqliteEngine::holder_info(&place.database()), None);
    assert_eq!(place.open().counts().await.unwrap().tasks, 1);
}

/// The lock file holds a key of the local console, and the database what users keep private.
#[cfg(unix)]
#[test]
fn only_the_user_of_the_host_reads_its_files() {
    use std::os::unix::fs::PermissionsExt as _;

    let place = Place::new();
    fs::write(lock::lock_path(&place.database()), "").unwrap();
    fs::set_permissions(lock::lock_path(&place.database()), fs::Permissions::from_mode(0o644)).unwrap();
    let _engine = place.open();
    for entry in fs::read_dir(&place.0).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_stays_as_it_is() {
    let place = Place::new();
    place.open().close().await.unwrap();
    let newer = schema::newest() + 1;
    let connection = Connection::open(place.database()).unwrap();
    connection.execute("UPDATE meta SET value = ?1 WHERE name = 'schema_version'", [newer]).unwrap();
    connection.close().unwrap();
    let before = fs::read(place.database()).unwrap();
    let error = place.refused();
    assert!(
        matches!(error, EngineError::NewerSchema { found, known, .. } if found == newer && known == schema::newest()),
        "{error}"
    );
    assert_eq!(fs::read(place.database()).unwrap(), before);
}

/// What a host of the first version stored is there with this one.
#[tokio::test]
async fn a_database_of_the_first_version_is_brought_to_the_newest() {
    let place = Place::new();
    let row = link(1, "github:1", "Kept");
    {
        let mut connection = Connection::open(place.database()).unwrap();
        schema::migrate(&mut connection, 0..1).unwrap();
        let document = serde_json::to_string(&row.link).unwrap();
        let link = &row.link;
        connection
            .execute(
                "INSERT INTO link(id, connection_id, source, thread_id, channel, type, status, occurred_at, updated_at, archived, version, doc)
                 VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, 1, ?10)",
                rusqlite::params![
                    link.id.number(),
                    row.connection.number(),
                    link.source.as_str(),
                    link.thread.number(),
                    link.channel.as_str(),
                    link.link_type.as_str(),
                    link.status.as_ref().map(connector_core::id::StatusId::as_str),
                    link.occurred_at.as_microsecond(),
                    link.updated_at.as_microsecond(),
                    document,
                ],
            )
            .unwrap();
    }
    let engine = place.open();
    let id = row.id();
    assert_eq!(engine.link(id).await.unwrap(), Some(LinkRow { version: 1, ..row }));
    engine.indexed().await.unwrap();
    assert_eq!(found(&engine, "kept").await, [id]);
    engine.close().await.unwrap();
}

async fn found(engine: &SqliteEngine, text: &str) -> Vec<LinkId> {
    let hits = engine.search(SearchQuery::new(text, 10)).await.unwrap();
    hits.iter().map(|hit| hit.row.id()).collect()
}

/// What was committed and not indexed when the process ended is indexed by the next one.
#[tokio::test]
async fn what_was_not_indexed_before_a_crash_is_found_after_it() {
    let place = Place::new();
    let engine = place.open();
    let rows: Vec<_> = (1..=300).map(|id| link(id, &format!("github:{id}"), "Findable")).collect();
    let last = rows[299].id();
    let puts = rows.into_iter().map(|row| Write::PutLink { row: Box::new(row), expect: None });
    engine.commit(WriteSet::of(puts)).await.unwrap();
    drop(engine);
    let engine = place.open();
    assert_eq!(found(&engine, "findable").await.len(), 10);
    engine.indexed().await.unwrap();
    let query = SearchQuery::new("findable", 1_000);
    assert_eq!(engine.search(query).await.unwrap().len(), 300);
    engine.commit(WriteSet::of([Write::DeleteLink { id: last }])).await.unwrap();
    engine.indexed().await.unwrap();
    engine.close().await.unwrap();
    let database = Connection::open(place.database()).unwrap();
    let indexed: i64 = database.query_row("SELECT COUNT(*) FROM search", [], |row| row.get(0)).unwrap();
    assert_eq!(indexed, 299, "a row that is gone is in the index no more");
}

/// R7.1: what a connection of the first version was authorized with, within its row and without data keys, is its
/// credential still.
#[tokio::test]
async fn credentials_of_the_first_version_are_secrets_of_their_own() {
    let place = Place::new();
    let keys = Secret::new("a-key-that-is-long-enough-0123456789-abc");
    let sealed = KeyVault::from_text(&keys, "the test").unwrap().seal(&SealContext::token("credential"), b"a token");
    {
        let mut connection = Connection::open(place.database()).unwrap();
        schema::migrate(&mut connection, 0..1).unwrap();
        for (id, credential) in [(7, Some(&sealed)), (8, None)] {
            let mut document = json!({
                "id": format!("con_{id}"), "connector": "office", "connector_version": "1", "owner": "ada",
                "status": "active", "name": "Office", "options": {"color": "red"}, "account": {"owner": "ada"},
                "generation": 0, "created_at": "2026-01-01T00:00:00Z",
            });
            if let Some(credential) = credential {
                document["credential"] = json!(credential);
            }
            connection
                .execute(
                    "INSERT INTO connection(id, connector, owner, status, version, doc) VALUES(?1, 'office', 'ada', 'active', 3, ?2)",
                    rusqlite::params![id, document.to_string()],
                )
                .unwrap();
        }
    }
    let engine = place.open();
    let connection = async |id| engine.connection(ConnectionId::from_number(id)).await.unwrap().unwrap();
    let authorized = connection(7).await;
    assert_eq!((authorized.credential.as_deref(), authorized.version), (Some("credential/7"), 3));
    assert_eq!(authorized.options["color"], "red");
    assert_eq!(connection(8).await.credential, None);
    let secrets = engine.secrets(String::new(), None, 10).await.unwrap();
    let [secret] = secrets.as_slice() else { panic!("{} secrets", secrets.len()) };
    assert_eq!((secret.name.as_str(), secret.connection), ("credential/7", Some(ConnectionId::from_number(7))));
    // As the host opens it, also when the vault has got data keys since.
    let vault = KeyVault::from_text(&keys, "the test").unwrap();
    vault.make_data_key();
    let opened = Credential::open(&vault, &secret.name, &secret.sealed).unwrap();
    assert_eq!(opened, Credential::new(Secret::new("a token")));
    // It goes with its connection.
    engine.commit(WriteSet::of([Write::DeleteConnection { id: authorized.id }])).await.unwrap();
    assert_eq!(engine.secret("credential/7".to_owned()).await.unwrap(), None);
    engine.close().await.unwrap();
}

#[tokio::test]
async fn foreign_and_damaged_files_are_refused_and_stay_as_they_are() {
    let ours = Place::new();
    let engine = ours.open();
    let sets = (1..200).map(|id| engine.commit(WriteSet::of([put_state(&id.to_string(), 1000)])));
    for set in sets.collect::<Vec<_>>() {
        set.await.unwrap();
    }
    engine.close().await.unwrap();
    let whole = fs::read(ours.database()).unwrap();

    let foreign = Place::new();
    Connection::open(foreign.database()).unwrap().execute_batch("CREATE TABLE recipe(name TEXT)").unwrap();
    let named = Place::new();
    Connection::open(named.database())
        .unwrap()
        .execute_batch("PRAGMA application_id = 4711; CREATE TABLE recipe(name TEXT)")
        .unwrap();

    let mut header = whole.clone();
    header[20..60].fill(0xff);
    let mut schema = whole.clone();
    schema[100..4096].fill(0x5a);
    for (content, reason) in [
        (b"Dear diary, ".repeat(50), "no SQLite database"),
        (fs::read(foreign.database()).unwrap(), "another application"),
        (fs::read(named.database()).unwrap(), "another application"),
        (header, "not a database"),
        (schema, "malformed"),
        (whole[..whole.len() / 2].to_vec(), ""),
        (whole[..50].to_vec(), ""),
    ] {
        let place = Place::new();
        fs::write(place.database(), &content).unwrap();
        let error = place.refused();
        assert!(
            matches!(&error, EngineError::Corrupt { reason: found, .. } if found.contains(reason)),
            "`{reason}`: {error}"
        );
        assert!(fs::read(place.database()).unwrap() == content, "`{reason}`: the file was changed");
    }
}

#[test]
fn a_place_that_cannot_be_written_is_refused_with_what_to_do() {
    let place = Place::new();
    let open = |path: &Path| SqliteEngine::open(path, options()).unwrap_err();
    let error = open(&place.0.join("missing").join("test.db"));
    assert!(matches!(&error, EngineError::NotWritable { reason, .. } if reason.contains("create it")), "{error}");
    let error = open(&place.0);
    assert!(matches!(&error, EngineError::NotWritable { reason, .. } if reason.contains("directory")), "{error}");
    // No user may make a file there, whatever the permissions of the one who runs the test.
    #[cfg(target_os = "linux")]
    {
        let error = open(Path::new("/proc/self/test.db"));
        assert!(matches!(&error, EngineError::NotWritable { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_full_disk_refuses_and_takes_again_when_there_is_space() {
    let place = Place::new();
    let engine = SqliteEngine::open(&place.database(), SqliteOptions { max_pages: Some(120), ..options() }).unwrap();
    let full = loop {
        let count = engine.counts().await.unwrap().tasks;
        let key = count.to_string();
        match engine.commit(WriteSet::of([put_task(engine.take_ids(1)), put_state(&key, 20_000)])).await {
            Ok(_) => assert!(count < 1000, "it is never full"),
            Err(error) => {
                assert!(
                    matches!(&error, CommitError::Engine(EngineError::NotWritable { reason, .. }) if reason.contains("space")),
                    "{error}"
                );
                assert_eq!(engine.counts().await.unwrap().tasks, count, "half of a set was stored");
                assert_eq!(engine.state(CONNECTION, vec![key]).await.unwrap(), [None]);
                break count;
            }
        }
    };
    assert!(full > 0);
    engine.commit(WriteSet::of([Write::DeleteState { connection: CONNECTION, key: "0".to_owned() }])).await.unwrap();
    engine.commit(WriteSet::of([put_state("new", 10_000)])).await.unwrap();
    engine.close().await.unwrap();
    drop(engine);
    let engine = place.open();
    assert!(!engine.unclean_start());
    assert_eq!(engine.counts().await.unwrap().tasks, full);
    let values = engine.state(CONNECTION, vec!["0".into(), "1".into(), "new".into()]).await.unwrap();
    assert_eq!(values.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, true]);
}

/// One wait for the disk for each set of a lone caller; few for many callers at once.
#[tokio::test]
async fn sets_that_wait_together_share_a_commit() {
    let place = Place::new();
    let engine = place.open();
    let before = engine.counters();
    for id in 1..=20 {
        engine.commit(WriteSet::of([put_task(id)])).await.unwrap();
    }
    let alone = engine.counters();
    assert_eq!((alone.commits - before.commits, alone.sets - before.sets), (20, 20));
    assert_eq!(engine.commit(WriteSet::default()).await.unwrap(), Committed::default());
    assert_eq!(engine.counters().commits, alone.commits, "a set that changes nothing writes nothing");

    let sets: Vec<_> = (101..=300).map(|id| engine.commit(WriteSet::of([put_task(id)]))).collect();
    for set in sets {
        set.await.unwrap();
    }
    let together = engine.counters();
    assert_eq!(together.sets - alone.sets - 1, 200);
    assert!(together.commits - alone.commits < 100, "{} commits", together.commits - alone.commits);
}

/// Many are told on the runtime in which the store was opened; who waits in another learns of it though that one has ended.
#[test]
fn all_are_told_though_the_first_runtime_has_ended() {
    let place = Place::new();
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let first = runtime();
    let engine = first.block_on(async { place.open() });
    drop(first);
    runtime().block_on(async {
        // The second and third group are what came while the one before was written.
        let commits = (1..=600).map(|id| engine.commit(WriteSet::of([put_task(id)])));
        let committed = futures_util::future::join_all(commits).await;
        assert!(committed.iter().all(Result::is_ok), "{committed:?}");
        assert_eq!(engine.counts().await.unwrap().tasks, 600);
    });
}

/// One page for a task that is put, and one when it is done: nobody else's page, and no index.
#[tokio::test]
async fn a_task_costs_a_page_when_put_and_a_page_when_done() {
    let place = Place::new();
    let engine = place.open();
    let mut tasks = waits(&engine, [put_task(1)]).await;
    let before = engine.counters();
    tasks.extend(waits(&engine, [put_task(2)]).await);
    let put = engine.counters();
    assert_eq!(put.wal_pages - before.wal_pages, 1);
    engine.commit(done(&tasks[1])).await.unwrap();
    let ended = engine.counters();
    assert_eq!((ended.wal_pages - put.wal_pages, ended.commits - put.commits), (1, 1));
}

/// The log is moved to the database when it is full, and begins anew: its file does not grow.
#[tokio::test]
async fn the_log_keeps_its_size() {
    let place = Place::new();
    let engine = place.open();
    let size = || fs::metadata(writer::log_path(&place.database())).unwrap().len();
    let filled = size();
    assert!(filled >= 256 * 1024, "{filled}");
    let before = engine.counters();
    for id in 1..=300 {
        engine.commit(WriteSet::of([put_task(id)])).await.unwrap();
    }
    let after = engine.counters();
    assert!(after.wal_pages - before.wal_pages >= 300 && after.checkpoints >= 3, "{after:?}");
    assert!(size() <= filled + 64 * 1024, "it grew from {filled} to {}", size());
    assert_eq!(engine.counts().await.unwrap().tasks, 300);
}

/// A set that is refused takes nothing of the others with it, and leaves no gap in the feed.
#[tokio::test]
async fn a_refused_set_among_others_leaves_no_trace() {
    let place = Place::new();
    let engine = place.open();
    let row = link(5, "github:5", "A title");
    let entry = || Write::Feed(FeedEntry::new(FeedKind::Link, CONNECTION, row.id()));
    let sets: Vec<_> = (0..50)
        .map(|number| {
            let broken = Write::PutLink { row: Box::new(row.clone()), expect: Some(number + 4711) };
            let last = if number % 2 == 0 { put_state(&number.to_string(), 1) } else { broken };
            engine.commit(WriteSet::of([entry(), put_task(number + 1), last]))
        })
        .collect();
    let mut ends = Vec::new();
    for (number, set) in sets.into_iter().enumerate() {
        match set.await {
            Ok(committed) => ends.push(committed.feed_end.unwrap()),
            Err(error) => assert!(number % 2 == 1 && matches!(error, CommitError::RecordConflict), "{error}"),
        }
    }
    assert_eq!(ends, (1..=25).collect::<Vec<_>>());
    assert_eq!(engine.counts().await.unwrap(), Counts { tasks: 25, ..Counts::default() });
    let feed = engine.feed(0, 100).await.unwrap();
    assert_eq!(feed.iter().map(|entry| entry.position).collect::<Vec<_>>(), ends);
}

/// R10.2: entries of a set that are alike share a row of the file, and are entries of their own for who reads and trims.
#[tokio::test]
async fn alike_entries_of_a_set_share_a_row() {
    let place = Place::new();
    let engine = place.open();
    let entry = |number: i64| Write::Feed(FeedEntry::new(FeedKind::Link, CONNECTION, LinkId::from_number(number)));
    engine.commit(WriteSet::of((1..=100).map(entry))).await.unwrap();
    engine.commit(WriteSet::of([entry(101)])).await.unwrap();
    let other = Connection::open_with_flags(place.database(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let rows: i64 = other.query_row("SELECT COUNT(*) FROM feed", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 2);
    let positions = async |after, limit| {
        let found = engine.feed(after, limit).await.unwrap();
        found.into_iter().map(|entry| (entry.position, entry.id)).collect::<Vec<_>>()
    };
    let of = |numbers: std::ops::RangeInclusive<u64>| {
        numbers.map(|number| (number, format!("lnk_{number}"))).collect::<Vec<_>>()
    };
    assert_eq!(positions(40, 7).await, of(41..=47));
    assert_eq!(positions(95, 100).await, of(96..=101));
    engine.commit(WriteSet::of([Write::TrimFeed { upto: 60 }])).await.unwrap();
    assert_eq!((engine.feed_start().await.unwrap(), engine.feed_end().await.unwrap()), (61, 101));
    assert_eq!(positions(0, 2).await, of(61..=62));
}

/// R10.2: what stood in the feed of an earlier version stands there still, at the same positions.
#[tokio::test]
async fn the_feed_of_an_earlier_version_goes_on() {
    let place = Place::new();
    {
        let mut connection = Connection::open(place.database()).unwrap();
        schema::migrate(&mut connection, 0..4).unwrap();
        connection
            .execute_batch(
                "INSERT INTO feed(position, kind, connection_id, ref)
                 VALUES(7, 'link', 1, 'lnk_5'), (8, 'thread', NULL, 'thr_4'), (9, 'channel', 1, 'a \"quoted\" one')",
            )
            .unwrap();
    }
    let engine = place.open();
    let entry = Write::Feed(FeedEntry::new(FeedKind::Link, CONNECTION, LinkId::from_number(6)));
    engine.commit(WriteSet::of([entry])).await.unwrap();
    let found = engine.feed(0, 100).await.unwrap();
    let found: Vec<_> = found.iter().map(|entry| (entry.position, entry.kind, entry.id.as_str())).collect();
    let wanted = [
        (7, FeedKind::Link, "lnk_5"),
        (8, FeedKind::Thread, "thr_4"),
        (9, FeedKind::Channel, "a \"quoted\" one"),
        (10, FeedKind::Link, "lnk_6"),
    ];
    assert_eq!(found, wanted);
    engine.close().await.unwrap();
}

/// R7.1: a link that is there refuses the whole set, wherever it stands in it.
#[tokio::test]
async fn one_link_of_many_that_is_there_refuses_all() {
    let place = Place::new();
    let engine = place.open();
    let links = |from: i64| (from..from + 20).map(|id| put_link(&link(id, &format!("github:{id}"), "A title")));
    engine.commit(WriteSet::of(links(1))).await.unwrap();
    for from in [20, 3, 10] {
        let error = engine.commit(WriteSet::of(links(from))).await.unwrap_err();
        assert!(matches!(error, CommitError::RecordConflict), "{error}");
        assert_eq!(engine.counts().await.unwrap().links, 20);
    }
    engine.commit(WriteSet::of(links(21))).await.unwrap();
    assert_eq!(engine.counts().await.unwrap().links, 40);
}

/// What the store cannot do for one set, it does for the others of the group.
#[tokio::test]
async fn a_damaged_row_fails_the_sets_that_need_it_and_no_others() {
    let place = Place::new();
    let engine = place.open();
    let keyed =
        || Write::PutTask { task: TaskRow { key: Some("sync".to_owned()), ..task(1) }, keyed: KeyedTask::Coalesce };
    engine.commit(WriteSet::of([keyed()])).await.unwrap();
    let other = Connection::open(place.database()).unwrap();
    other.execute("UPDATE task SET errors = 'damaged'", []).unwrap();
    let sets: Vec<_> = (0..20)
        .map(|number| {
            let last = if number == 10 { keyed() } else { put_state("last", 1) };
            engine.commit(WriteSet::of([put_state(&number.to_string(), 1), last]))
        })
        .collect();
    for (number, set) in sets.into_iter().enumerate() {
        match set.await {
            Ok(_) => assert_ne!(number, 10),
            Err(error) => {
                assert!(number == 10 && matches!(error, CommitError::Engine(EngineError::Corrupt { .. })), "{error}")
            }
        }
        let found = engine.state(CONNECTION, vec![number.to_string()]).await.unwrap();
        assert_eq!(found[0].is_some(), number != 10);
    }
}

/// Sets of one connection are stored in the order in which they were handed in.
#[tokio::test]
async fn sets_of_a_connection_keep_their_order() {
    let place = Place::new();
    let engine = place.open();
    let sets: Vec<_> = (0..200_u8)
        .map(|number| {
            let connection = ConnectionId::from_number(i64::from(number % 3));
            let value = Bytes::copy_from_slice(&[number]);
            let put = Write::PutState { connection, key: "last".to_owned(), value };
            engine.commit(WriteSet { connection: Some(connection), ..WriteSet::of([put]) })
        })
        .collect();
    for set in sets {
        set.await.unwrap();
    }
    for (connection, last) in [(0, 198), (1, 199), (2, 197)] {
        let found = engine.state(ConnectionId::from_number(connection), vec!["last".to_owned()]).await.unwrap();
        assert_eq!(found[0].as_ref().unwrap().value.as_ref(), [last]);
    }
}

/// A read that begins after a commit was answered sees it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_see_what_was_committed_before_them() {
    let place = Place::new();
    let engine = place.open();
    for id in 1..=100 {
        engine.commit(WriteSet::of([put_task(id)])).await.unwrap();
        let found = engine.tasks_by_id(vec![TaskId::from_number(id)]).await.unwrap();
        assert!(found[0].is_some(), "the task {id} is not seen");
    }
}

/// People open the file with standard tools.
#[tokio::test]
async fn the_file_is_read_with_standard_tools() {
    let place = Place::new();
    let engine = place.open();
    engine.commit(WriteSet::of([put_link(&link(5, "github:5", "A title"))])).await.unwrap();
    let other = Connection::open_with_flags(place.database(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let title: String =
        other.query_row("SELECT doc ->> '$.title' FROM link WHERE source = 'github:5'", [], |row| row.get(0)).unwrap();
    assert_eq!(title, "A title");
}

fn put_setting(name: &str) -> Write {
    Write::PutSetting { name: name.to_owned(), value: Some(Bytes::from_static(b"value")) }
}

/// A write that waits in a task goes with the first commit that succeeds, and only with that.
#[tokio::test]
async fn the_first_commit_of_a_task_stores_what_waits() {
    let place = Place::new();
    let engine = place.open();
    let secret = SecretRow {
        name: "credential/1".to_owned(),
        connection: None,
        sealed: "sealed".to_owned(),
        expires_at: None,
        version: 0,
    };
    let stored = async |name: &str| engine.setting(name.to_owned()).await.unwrap().is_some();
    let ((), marked) = with_first_commit(put_setting("mark"), async {
        engine.commit(WriteSet::of([Write::PutSecret { row: secret, expect: None }])).await.unwrap();
        assert!(!stored("mark").await, "a token that was refreshed is not what was asked for");
        let gone =
            WriteSet { expects: vec![Expect::Task { id: TaskId::from_number(7) }], ..WriteSet::of([put_task(8)]) };
        engine.commit(gone).await.unwrap_err();
        assert!(!stored("mark").await, "nothing was done");
        engine.commit(WriteSet::of([put_task(9)])).await.unwrap();
        assert!(stored("mark").await);
        let clear = Write::PutSetting { name: "mark".to_owned(), value: None };
        engine.commit(WriteSet::of([clear])).await.unwrap();
        assert!(!stored("mark").await, "it goes with one commit");
    })
    .await;
    assert!(marked);
    let ((), marked) = with_first_commit(put_setting("other"), async {}).await;
    assert!(!marked);
    engine.commit(WriteSet::of([put_task(10)])).await.unwrap();
    assert!(!stored("other").await);
}

/// Scans that take long keep no look-up waiting, however many of them there are.
#[tokio::test]
async fn look_ups_do_not_wait_for_scans() {
    let place = Place::new();
    let engine = place.open();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let scans: Vec<_> = (0..8)
        .map(|_| {
            let wait = wait.clone();
            engine.readers.read(Size::Scan, move |_| {
                wait.lock().unwrap_or_else(PoisonError::into_inner).recv().unwrap_or_default();
                Ok(())
            })
        })
        .collect();
    assert_eq!(engine.connection(CONNECTION).await.unwrap(), None);
    assert_eq!(engine.setting("none".to_owned()).await.unwrap(), None);
    drop(go_on);
    for scan in scans {
        scan.await.unwrap();
    }
}

/// A scan ends when nobody waits for it, and leaves its thread to others.
#[tokio::test]
async fn a_scan_that_was_given_up_ends() {
    let place = Place::new();
    let engine = SqliteEngine::open(&place.database(), SqliteOptions { scanners: 1, ..options() }).unwrap();
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n";
    let (begun, begins) = oneshot::channel();
    let scan = engine.readers.read(Size::Scan, move |db| {
        begun.send(()).unwrap();
        Ok(db.number(endless, [])?)
    });
    begins.await.unwrap();
    drop(scan);
    assert_eq!(engine.counts().await.unwrap(), Counts::default());
}

mod conformance {
    use connector_core::testing::TestStore;

    use super::*;

    async fn open() -> TestStore {
        let place = Place::new();
        let path = place.database();
        TestStore::new(place.open())
            .reopened(move || async move { SqliteEngine::open(&path, options()).unwrap() })
            .keeping(place)
    }

    connector_core::engine_conformance!(open);
}
