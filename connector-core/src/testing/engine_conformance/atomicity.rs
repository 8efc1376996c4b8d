use super::TestStore;
use super::fixture::*;
use crate::engine::{After, CallbackRow, CommitError, DeadTask, Expect, KeyedTask, TaskRow, Write, WriteSet};
use crate::id::TaskId;

/// One write of each kind, in an order in which each changes something. The version of each row is one.
fn one_of_each(store: &TestStore, tenant: &Tenant) -> Vec<(&'static str, Write)> {
    let id = tenant.id;
    let [link, other] = &tenant.links;
    let [note, undelivered] = &tenant.notes;
    let mut changed_connection = connection_row(id.number());
    changed_connection.name = "changed".to_owned();
    let mut changed_channel = channel_row(id, tenant.channel.as_str());
    changed_channel.enabled = false;
    let mut changed_link = link.clone();
    changed_link.link.title = Some("changed".to_owned());
    let mut changed_note = note.clone();
    changed_note.note.content = "changed".to_owned();
    let mut changed_mark = mark_row("ada", link.link.thread);
    changed_mark.unread = false;
    let new_task = TaskRow { key: Some("sync:b".to_owned()), run_at: Some(at(9)), ..task_row(id, store.id()) };
    let replacing = TaskRow {
        key: Some("sync:a".to_owned()),
        payload: bytes("changed"),
        run_at: Some(at(70)),
        ..task_row(id, store.id())
    };
    let coalescing = TaskRow { key: Some("sync:a".to_owned()), run_at: Some(at(30)), ..task_row(id, store.id()) };
    let file = file_row(store.id());
    let new_dead = DeadTask { task: task_row(id, store.id()), died_at: at(2) };
    vec![
        ("PutState", put_state(id, "cursor", "2")),
        ("DeleteState", Write::DeleteState { connection: id, key: "cursor".to_owned() }),
        (
            "DeleteStateVersion",
            Write::DeleteStateVersion { connection: id, key: "dirty:1".to_owned(), version: tenant.dirty },
        ),
        ("DeleteStatePrefix", Write::DeleteStatePrefix { connection: id, prefix: "dirty:".to_owned() }),
        (
            "PutCallback",
            Write::PutCallback(CallbackRow { id: tenant.callback, connection: id, body: bytes("changed") }),
        ),
        ("DeleteCallback", Write::DeleteCallback { connection: id, id: tenant.callback }),
        ("DeleteCallbacks", Write::DeleteCallbacks { connection: id }),
        ("RevokeCallback", Write::RevokeCallback { connection: id, nonce: "nonce".to_owned() }),
        ("PutTask", Write::PutTask { task: new_task, keyed: KeyedTask::Keep }),
        ("PutTask with KeyedTask::Replace", Write::PutTask { task: replacing, keyed: KeyedTask::Replace }),
        ("PutTask with KeyedTask::Coalesce", Write::PutTask { task: coalescing, keyed: KeyedTask::Coalesce }),
        ("HastenTasks", Write::HastenTasks { connection: id, key_prefix: "sync:a".to_owned() }),
        ("DeleteTaskByKey", Write::DeleteTaskByKey { connection: id, key: "sync:b".to_owned() }),
        ("DeleteTask", Write::DeleteTask { id: tenant.tasks[0].id }),
        ("DeleteTasks", Write::DeleteTasks { connection: id, channel: None, except: None, dead: false }),
        ("PutDead", Write::PutDead(new_dead)),
        ("DeleteDead", Write::DeleteDead { id: tenant.dead }),
        ("DeleteTasks with the dead", Write::DeleteTasks { connection: id, channel: None, except: None, dead: true }),
        (
            "PutDelivery",
            Write::PutDelivery { row: delivery_row(id, store.id(), Some("second")), request: bytes("request") },
        ),
        ("RedirectDelivery", Write::RedirectDelivery { id: tenant.delivery, task: tenant.tasks[0].id }),
        ("DeleteDeliveries", Write::DeleteDeliveries { ids: vec![tenant.delivery] }),
        ("PutConnection", Write::PutConnection { row: Box::new(changed_connection), expect: Some(1) }),
        ("PutChannel", Write::PutChannel { row: Box::new(changed_channel), expect: Some(1) }),
        ("CountSaved", Write::CountSaved { connection: id, channel: tenant.channel.clone(), saved: 3 }),
        ("PutLink", Write::PutLink { row: Box::new(changed_link), expect: Some(1) }),
        ("DeleteChannel", Write::DeleteChannel { connection: id, channel: tenant.channel.clone() }),
        ("PutSource", Write::PutSource { source: extra_source(), thread: link.link.thread }),
        ("PutNote", Write::PutNote { row: Box::new(changed_note), expect: Some(1) }),
        ("DeleteNote", Write::DeleteNote { id: undelivered.note.id }),
        ("PutUserThread", Write::PutUserThread { row: changed_mark, expect: Some(1) }),
        ("MergeThreads", Write::MergeThreads { from: other.link.thread, into: link.link.thread }),
        ("DeleteUserThread", Write::DeleteUserThread { user: "ada".into(), thread: link.link.thread }),
        ("DeleteLink", Write::DeleteLink { id: other.link.id }),
        ("Feed", feed(tenant)),
        ("PutFile", Write::PutFile { row: file.clone(), expect: None }),
        ("DeleteFiles", Write::DeleteFiles { ids: vec![file.id] }),
        ("PutSecret", Write::PutSecret { row: secret_row(id), expect: None }),
        ("DeleteSecret", Write::DeleteSecret { name: secret_row(id).name, expect: Some(1) }),
        ("PutSetting", Write::PutSetting { name: "name".to_owned(), value: Some(bytes("value")) }),
        ("PutSetting with none", Write::PutSetting { name: "name".to_owned(), value: None }),
        ("PutSetting again", Write::PutSetting { name: "name".to_owned(), value: Some(bytes("value")) }),
        ("DeleteSettings", Write::DeleteSettings { prefix: "na".to_owned() }),
        ("Feed again", feed(tenant)),
        ("TrimFeed", Write::TrimFeed { upto: u64::MAX }),
        ("DeleteConnection", Write::DeleteConnection { id }),
    ]
}

async fn everything(store: &TestStore, tenant: &Tenant) -> (TenantView, StoreView) {
    (tenant.view(store).await, StoreView::of(store).await)
}

/// R7.1: a set whose last write conflicts leaves nothing of the earlier ones.
pub(super) async fn a_refused_set_leaves_nothing_of_any_kind_of_write(store: TestStore) {
    let tenant = Tenant::new(&store, "tenant").await;
    let other = Tenant::new(&store, "other").await;
    let writes = one_of_each(&store, &tenant);
    let mut before = everything(&store, &tenant).await;
    store.conflicts(writes.iter().map(|(_, write)| write.clone()).chain([other.conflict()])).await;
    assert_eq!(before, everything(&store, &tenant).await, "a refused set of every kind of write changed something");
    for (kind, write) in writes {
        store.conflicts([write.clone(), other.conflict()]).await;
        assert_eq!(before, everything(&store, &tenant).await, "a refused {kind} changed something");
        store.apply([write]).await;
        let after = everything(&store, &tenant).await;
        assert_ne!(before, after, "a stored {kind} changed nothing");
        before = after;
    }
}

/// What is expected is checked before any write, and refuses all of them.
pub(super) async fn an_unmet_expectation_refuses_the_whole_set(store: TestStore) {
    let tenant = Tenant::new(&store, "tenant").await;
    let before = everything(&store, &tenant).await;
    let thread = store.thread();
    let unmet = [
        Expect::State { connection: tenant.id, key: "cursor".to_owned(), version: None },
        Expect::StatePrefix { connection: tenant.id, prefix: "dirty:".to_owned(), versions: Vec::new() },
        Expect::SourceThread { source: tenant.links[0].link.source.clone(), thread: Some(thread) },
    ];
    for expect in unmet {
        let writes = vec![put_state(tenant.id, "cursor", "2"), put_state(tenant.id, "new", "2"), feed(&tenant)];
        let set = WriteSet { expects: vec![expect.clone()], ..completes(&tenant.tasks[1], After::Delete) };
        store.refused(WriteSet { writes, ..set }).await;
        assert_eq!(
            before,
            everything(&store, &tenant).await,
            "a set was refused for {expect:?}, and changed something"
        );
    }
    let version = store.value(tenant.id, "cursor").await.map(|value| value.version);
    let expects = vec![Expect::State { connection: tenant.id, key: "cursor".to_owned(), version }];
    let writes = vec![put_state(tenant.id, "cursor", "2"), put_state(tenant.id, "cursor", "3")];
    store.commit(WriteSet { expects, writes, ..WriteSet::default() }).await;
    assert_eq!(
        store.value(tenant.id, "cursor").await.map(|value| value.value),
        Some(bytes("3")),
        "a set's own writes do not refuse it"
    );
}

/// A completion is refused with its set, whatever becomes of the task.
pub(super) async fn a_refused_completion_leaves_the_task_as_it_was(store: TestStore) {
    let tenant = Tenant::new(&store, "tenant").await;
    let before = everything(&store, &tenant).await;
    let errors = vec![task_error(1)];
    let again = (at(90), TaskId::from_number(store.id()));
    let ends = [
        After::Delete,
        After::Again { run_at: Some(at(90)) },
        After::Retry { run_at: Some(at(90)), attempt: 1, errors: errors.clone() },
        After::Dead { attempt: 1, errors: errors.clone(), at: at(5), again: None },
        After::Dead { attempt: 1, errors, at: at(5), again: Some(again) },
    ];
    for then in ends {
        let set = WriteSet {
            writes: vec![put_state(tenant.id, "cursor", "2"), tenant.conflict()],
            ..completes(&tenant.tasks[0], then.clone())
        };
        let error = store.refused(set).await;
        assert!(matches!(error, CommitError::RecordConflict), "{error:?}");
        assert_eq!(before, everything(&store, &tenant).await, "a refused {then:?} changed something");
    }
}

/// A task that is gone takes its writes with it, before anything else is looked at.
pub(super) async fn a_missing_task_refuses_the_whole_set(store: TestStore) {
    let tenant = Tenant::new(&store, "tenant").await;
    let before = everything(&store, &tenant).await;
    let missing = task_row(tenant.id, store.id());
    let expects = vec![Expect::State { connection: tenant.id, key: "cursor".to_owned(), version: None }];
    for expects in [Vec::new(), expects] {
        let writes = vec![put_state(tenant.id, "cursor", "2"), feed(&tenant)];
        let set = WriteSet { expects, writes, ..completes(&missing, After::Again { run_at: None }) };
        let error = store.refused(set).await;
        assert!(matches!(error, CommitError::TaskGone), "{error:?}");
        assert_eq!(before, everything(&store, &tenant).await, "it left something");
    }
}

/// A set without writes is no error, also if it expects something.
pub(super) async fn an_empty_set_is_stored(store: TestStore) {
    let connection = store.connection().await;
    let committed = store.commit(WriteSet::default()).await;
    assert!(committed.tasks.is_empty() && committed.feed_end.is_none(), "{committed:?}");
    let expects = vec![Expect::State { connection, key: "key".to_owned(), version: None }];
    store.commit(WriteSet { expects, ..WriteSet::default() }).await;
    let expects = vec![Expect::State { connection, key: "key".to_owned(), version: Some(1) }];
    let error = store.refused(WriteSet { expects, ..WriteSet::default() }).await;
    assert!(matches!(error, CommitError::StateConflict(_)), "{error:?}");
}
