use jiff::{SignedDuration, Timestamp};

use super::TestStore;
use super::fixture::*;
use crate::engine::{
    After, CommitError, Committed, DeadTask, Expect, KeyedTask, TaskChange, TaskPriority, TaskQuery, TaskRow, Write,
    WriteSet,
};
use crate::id::{ChannelId, ConnectionId, TaskId};

fn put(task: &TaskRow, keyed: KeyedTask) -> Write {
    Write::PutTask { task: task.clone(), keyed }
}

fn keyed(connection: ConnectionId, id: i64, key: &str) -> TaskRow {
    TaskRow { key: Some(key.to_owned()), ..task_row(connection, id) }
}

/// A task that was tried twice, in a lane, and comes again.
fn tried(connection: ConnectionId, id: i64) -> TaskRow {
    TaskRow {
        run_at: Some(at(5)),
        attempt: 2,
        key: Some("sync".to_owned()),
        channel: Some("repo".into()),
        priority: TaskPriority::Backfill,
        every_ms: Some(300_000),
        errors: vec![task_error(1), task_error(2)],
        ..task_row(connection, id)
    }
}

/// The row waits as this one, whatever its revision; the commit says so, and the store too.
async fn waits(store: &TestStore, committed: &Committed, wanted: &TaskRow) -> TaskRow {
    let said = waiting(committed);
    assert_eq!(said.iter().map(unrevised).collect::<Vec<_>>(), [unrevised(wanted)], "what the commit says that waits");
    let stored = store.task(wanted.id).await;
    assert_eq!(stored.as_ref(), said.first(), "what the commit says is what is stored");
    stored.expect("it waits")
}

/// Each of these is gone; the commit says so, and the store too.
async fn gone(store: &TestStore, committed: &Committed, tasks: &[&TaskRow]) {
    for task in tasks {
        assert!(said_gone(committed, task), "the commit does not say that {} is gone: {committed:?}", task.id);
        assert_eq!(store.task(task.id).await, None, "it is still there");
    }
}

/// A new task is reported and stored as it was given, but for the revision.
pub(super) async fn a_new_task_waits(store: TestStore) {
    let connection = store.connection().await;
    for task in [task_row(connection, store.id()), tried(connection, store.id())] {
        for how in [KeyedTask::Keep, KeyedTask::Coalesce, KeyedTask::Replace] {
            let committed = store.apply([put(&task, how)]).await;
            waits(&store, &committed, &task).await;
            let committed = store.apply([Write::DeleteTask { id: task.id }]).await;
            gone(&store, &committed, &[&task]).await;
        }
    }
    let [first, second] = [task_row(connection, store.id()), task_row(connection, store.id())];
    let committed = store
        .apply([put(&second, KeyedTask::Keep), put_state(connection, "k", "v"), put(&first, KeyedTask::Keep)])
        .await;
    let order: Vec<_> = waiting(&committed).iter().map(|row| row.id).collect();
    assert_eq!(order, [second.id, first.id], "changes are in the order of the writes");
}

/// R7.2: a done task is gone, and its writes are there.
pub(super) async fn a_done_task_is_gone(store: TestStore) {
    let connection = store.connection().await;
    let task = store.put_task(tried(connection, store.id())).await;
    let set = WriteSet { writes: vec![put_state(connection, "key", "1")], ..completes(&task, After::Delete) };
    let committed = store.commit(set).await;
    assert_eq!(committed.tasks, [TaskChange::Gone(task.id)]);
    gone(&store, &committed, &[&task]).await;
    assert_eq!(store.value(connection, "key").await.map(|value| value.value), Some(bytes("1")));
    assert_eq!(store.read(|engine| engine.task_by_key(connection, "sync".to_owned())).await, None);
}

/// The next run of a recurring task knows nothing of the tries of this one.
pub(super) async fn a_task_that_runs_again_starts_anew(store: TestStore) {
    let connection = store.connection().await;
    for run_at in [Some(at(99)), None] {
        let task = store.put_task(TaskRow { key: None, ..tried(connection, store.id()) }).await;
        let committed = store.commit(completes(&task, After::Again { run_at })).await;
        let row = waits(&store, &committed, &TaskRow { run_at, attempt: 0, errors: Vec::new(), ..task.clone() }).await;
        assert_ne!(row.revision, task.revision, "a run is told from the one before by its revision");
        let committed = store.commit(completes(&row, After::Delete)).await;
        gone(&store, &committed, &[&task]).await;
    }
}

/// R6.6: a retry carries what went wrong so far.
pub(super) async fn a_task_that_is_retried_keeps_its_attempts_and_errors(store: TestStore) {
    let connection = store.connection().await;
    for run_at in [Some(at_micro(1_500_001)), None] {
        let task = store.put_task(task_row(connection, store.id())).await;
        let errors = vec![task_error(1), task_error(2), task_error(3)];
        let committed =
            store.commit(completes(&task, After::Retry { run_at, attempt: 3, errors: errors.clone() })).await;
        let row = waits(&store, &committed, &TaskRow { run_at, attempt: 3, errors, ..task.clone() }).await;
        assert_eq!(row.revision, task.revision, "a retry is of the same run");
        let committed = store.commit(completes(&row, After::Delete)).await;
        gone(&store, &committed, &[&task]).await;
    }
}

/// R6.6: a task that the host gives up on is kept with its error history.
pub(super) async fn a_dead_task_is_a_dead_letter(store: TestStore) {
    let connection = store.connection().await;
    let task = store.put_task(tried(connection, store.id())).await;
    let errors = vec![task_error(1), task_error(2), task_error(3)];
    let then = After::Dead { attempt: 3, errors: errors.clone(), at: at(50), again: None };
    let committed = store.commit(completes(&task, then)).await;
    assert_eq!(committed.tasks, [TaskChange::Gone(task.id)]);
    gone(&store, &committed, &[&task]).await;
    let dead = store.dead(task.id).await.expect("it is a dead letter");
    assert_eq!(unrevised(&dead.task), unrevised(&TaskRow { attempt: 3, errors, ..task }));
    assert_eq!(dead.died_at, at(50));
    let next = keyed(connection, store.id(), "sync");
    let committed = store.apply([put(&next, KeyedTask::Keep)]).await;
    waits(&store, &committed, &next).await;
}

/// A recurring task goes on; the run that failed is a dead letter of its own.
pub(super) async fn a_recurring_task_goes_on_beside_its_dead_letter(store: TestStore) {
    let connection = store.connection().await;
    let task = store.put_task(tried(connection, store.id())).await;
    let dead_id = TaskId::from_number(store.id());
    let errors = vec![task_error(1), task_error(2), task_error(3)];
    let then = After::Dead { attempt: 3, errors: errors.clone(), at: at(50), again: Some((at(70), dead_id)) };
    let committed = store.commit(completes(&task, then)).await;
    let row =
        waits(&store, &committed, &TaskRow { run_at: Some(at(70)), attempt: 0, errors: Vec::new(), ..task.clone() })
            .await;
    assert_ne!(row.revision, task.revision, "a run is told from the one before by its revision");
    let dead = store.dead(dead_id).await.expect("the run is a dead letter");
    assert_eq!(unrevised(&dead.task), unrevised(&TaskRow { id: dead_id, attempt: 3, errors, ..task.clone() }));
    assert_eq!(dead.died_at, at(50));
    assert_eq!(store.dead(task.id).await, None, "the task itself is alive");
    assert_eq!(store.task(dead_id).await, None, "the dead letter is no task");
    assert_eq!(store.read(|engine| engine.task_by_key(connection, "sync".to_owned())).await, Some(row));
}

/// L35: what idempotency keys are made of is the same in each attempt of a run, and differs in every other run.
pub(super) async fn each_run_of_a_task_has_a_nonce_of_its_own(store: TestStore) {
    let connection = store.connection().await;
    let mut seen = Vec::new();
    let mut drawn = |row: &TaskRow, what: &str| {
        let nonce = row.nonce.unwrap_or_else(|| panic!("{what}: the store draws no nonce"));
        assert!(!seen.contains(&nonce), "{what}: another run has had the same nonce");
        seen.push(nonce);
    };
    let first = store.put_task(keyed(connection, store.id(), "sync")).await;
    drawn(&first, "a new task");
    drawn(&store.put_task(task_row(connection, store.id())).await, "another task");
    let retry = After::Retry { run_at: None, attempt: 1, errors: vec![task_error(1)] };
    store.commit(completes(&first, retry)).await;
    let retried = store.task(first.id).await.expect("it waits");
    assert_eq!(retried.nonce, first.nonce, "a retry is of the same run");
    let changes: [(&str, Write); 3] = [
        ("replaced", put(&keyed(connection, store.id(), "sync"), KeyedTask::Replace)),
        ("coalesced", put(&keyed(connection, store.id(), "sync"), KeyedTask::Coalesce)),
        ("hastened", Write::HastenTasks { connection, key_prefix: "sync".to_owned() }),
    ];
    for (what, change) in changes {
        store.apply([change]).await;
        drawn(&store.task(first.id).await.expect("it waits"), what);
    }
    let row = store.task(first.id).await.expect("it waits");
    store.commit(completes(&row, After::Again { run_at: None })).await;
    let row = store.task(first.id).await.expect("it waits");
    drawn(&row, "run again");
    let dead_id = TaskId::from_number(store.id());
    let again = Some((at(70), dead_id));
    store.commit(completes(&row, After::Dead { attempt: 1, errors: Vec::new(), at: at(50), again })).await;
    drawn(&store.task(first.id).await.expect("it waits"), "gone on beside its dead letter");
    let dead = store.dead(dead_id).await.expect("the run is a dead letter");
    assert_eq!(dead.task.nonce, row.nonce, "a dead letter is of the run that died");
    let retried = store.put_task(TaskRow { key: None, ..dead.task }).await;
    assert_eq!(retried.nonce, row.nonce, "a dead letter that is retried is the same run");
    let kept = store.task(first.id).await;
    let Some(reopened) = store.reopen().await else { return };
    assert_eq!(reopened.task(first.id).await, kept);
}

/// What was scheduled anew while it ran stays to run, whatever the run says of itself; its writes are stored.
pub(super) async fn a_task_that_changed_while_it_ran_stays_and_starts_anew(store: TestStore) {
    let connection = store.connection().await;
    let errors = vec![task_error(1)];
    let again = (at(90), TaskId::from_number(store.id()));
    let ends = [
        After::Delete,
        After::Again { run_at: Some(at(90)) },
        After::Retry { run_at: Some(at(90)), attempt: 7, errors: errors.clone() },
        After::Dead { attempt: 7, errors: errors.clone(), at: at(50), again: None },
        After::Dead { attempt: 7, errors, at: at(50), again: Some(again) },
    ];
    for (round, then) in ends.into_iter().enumerate() {
        let ran = store.put_task(tried(connection, store.id())).await;
        let sooner = TaskRow { run_at: Some(at(1)), ..keyed(connection, store.id(), "sync") };
        store.apply([put(&sooner, KeyedTask::Coalesce)]).await;
        let changed = store.task(ran.id).await.expect("it waits");
        assert_ne!(changed.revision, ran.revision, "it was changed from outside");
        let writes = vec![put_state(connection, "round", &round.to_string())];
        let committed = store.commit(WriteSet { writes, ..completes(&ran, then.clone()) }).await;
        let row = waits(&store, &committed, &TaskRow { attempt: 0, errors: Vec::new(), ..changed }).await;
        assert_eq!(
            store.value(connection, "round").await.map(|value| value.value),
            Some(bytes(&round.to_string())),
            "after {then:?}"
        );
        assert_eq!(store.dead(ran.id).await, None, "after {then:?}");
        assert_eq!(store.dead(again.1).await, None, "after {then:?}");
        let committed = store.commit(completes(&row, After::Delete)).await;
        gone(&store, &committed, &[&row]).await;
    }
}

/// A task that ends may put a new one in its own place.
pub(super) async fn a_completion_comes_before_the_writes(store: TestStore) {
    let connection = store.connection().await;
    let task = store.put_task(tried(connection, store.id())).await;
    let next = TaskRow { run_at: Some(at(80)), ..keyed(connection, store.id(), "sync") };
    let set = WriteSet { writes: vec![put(&next, KeyedTask::Keep)], ..completes(&task, After::Delete) };
    let committed = store.commit(set).await;
    assert_eq!(committed.tasks.first(), Some(&TaskChange::Gone(task.id)), "the completion comes first");
    let row = waits(&store, &committed, &next).await;
    assert_eq!(store.read(|engine| engine.task_by_key(connection, "sync".to_owned())).await, Some(row.clone()));

    let replacing = TaskRow { run_at: Some(at(85)), ..keyed(connection, store.id(), "sync") };
    let set = WriteSet {
        writes: vec![put(&replacing, KeyedTask::Replace)],
        ..completes(&row, After::Again { run_at: Some(at(99)) })
    };
    let committed = store.commit(set).await;
    assert_eq!(waiting(&committed).len(), 2, "both changes are said: {committed:?}");
    let stored = store.task(row.id).await.expect("it waits");
    assert_eq!(unrevised(&stored), unrevised(&TaskRow { id: row.id, ..replacing }), "the later write is the last word");
    assert_eq!(waiting(&committed).last(), Some(&stored));
}

/// R7.2: of two hosts that complete one task, one is refused with all of its writes.
pub(super) async fn a_task_is_completed_once(store: TestStore) {
    let connection = store.connection().await;
    for _ in 0..8 {
        let task = store.put_task(task_row(connection, store.id())).await;
        let runs: Vec<_> = (0..4)
            .map(|run: u32| {
                let key = format!("{}:{run}", task.id);
                let set =
                    WriteSet { writes: vec![put_state(connection, &key, "done")], ..completes(&task, After::Delete) };
                tokio::spawn(store.engine().commit(set))
            })
            .collect();
        let mut stored = 0;
        for run in runs {
            match run.await.expect("the run ends") {
                Ok(_) => stored += 1,
                Err(CommitError::TaskGone) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        let prefix = format!("{}:", task.id);
        let left = store.read(|engine| engine.state_entries(connection, prefix, ALL)).await;
        assert_eq!((stored, left.len()), (1, 1), "one run, and its writes alone, are stored");
    }
}

/// A put in place of a keyed task keeps the id.
pub(super) async fn a_replaced_task_keeps_its_id(store: TestStore) {
    let connection = store.connection().await;
    let old = store.put_task(tried(connection, store.id())).await;
    let new = TaskRow {
        run_at: None,
        priority: TaskPriority::User,
        every_ms: None,
        payload: bytes("another"),
        channel: old.channel.clone(),
        ..keyed(connection, store.id(), "sync")
    };
    let committed = store.apply([put(&new, KeyedTask::Replace)]).await;
    let row = waits(&store, &committed, &TaskRow { id: old.id, ..new.clone() }).await;
    assert_ne!(row.revision, old.revision, "it was changed from outside");
    assert_eq!(store.task(new.id).await, None, "there is no second one");
    assert_eq!(store.read(|engine| engine.task_by_key(connection, "sync".to_owned())).await, Some(row.clone()));

    let later = TaskRow { run_at: Some(at(99)), every_ms: Some(1), ..new };
    let committed = store.apply([put(&later, KeyedTask::Replace)]).await;
    let last = waits(&store, &committed, &TaskRow { id: old.id, ..later }).await;
    assert!(last.revision != row.revision && last.revision != old.revision, "each change has a revision of its own");
}

/// A put beside a keyed task moves it to the earlier of the two times, and changes nothing else.
pub(super) async fn a_coalesced_task_runs_at_the_earlier_time(store: TestStore) {
    let connection = store.connection().await;
    let (soon, late) = (Some(at(5)), Some(at(60)));
    for (stored, put_at, wanted) in
        [(late, soon, soon), (soon, late, soon), (late, None, None), (None, late, None), (None, None, None)]
    {
        let old = store.put_task(TaskRow { run_at: stored, ..tried(connection, store.id()) }).await;
        let new = TaskRow { run_at: put_at, payload: bytes("another"), ..keyed(connection, store.id(), "sync") };
        let committed = store.apply([put(&new, KeyedTask::Coalesce)]).await;
        let row = waits(&store, &committed, &TaskRow { run_at: wanted, ..old.clone() }).await;
        assert_ne!(row.revision, old.revision, "a run that is under way has not seen what this put is about");
        assert_eq!(store.task(new.id).await, None, "there is no second one");
        store.apply([Write::DeleteTask { id: old.id }]).await;
    }
}

/// A put that keeps what is there changes nothing, and says nothing.
pub(super) async fn a_kept_task_is_untouched(store: TestStore) {
    let connection = store.connection().await;
    let old = store.put_task(tried(connection, store.id())).await;
    let new = TaskRow { payload: bytes("another"), ..keyed(connection, store.id(), "sync") };
    let committed = store.apply([put(&new, KeyedTask::Keep)]).await;
    assert!(committed.tasks.is_empty(), "nothing was added, changed or removed: {committed:?}");
    assert_eq!(store.task(old.id).await, Some(old.clone()), "its revision too is as it was");
    assert_eq!(store.task(new.id).await, None);
    let committed = store.commit(completes(&old, After::Delete)).await;
    gone(&store, &committed, &[&old]).await;
}

/// Two connections may use the same key, and tasks without a key have nothing in common.
pub(super) async fn a_task_key_belongs_to_its_connection(store: TestStore) {
    let (ours, theirs) = (store.connection().await, store.connection().await);
    let mine = store.put_task(keyed(ours, store.id(), "sync")).await;
    let other = store.put_task(keyed(theirs, store.id(), "sync")).await;
    let unkeyed = [store.put_task(task_row(ours, store.id())).await, store.put_task(task_row(ours, store.id())).await];
    assert_ne!(mine.id, other.id);
    assert_eq!(store.read(|engine| engine.task_by_key(ours, "sync".to_owned())).await, Some(mine.clone()));
    assert_eq!(store.read(|engine| engine.task_by_key(theirs, "sync".to_owned())).await, Some(other));
    assert_eq!(store.read(|engine| engine.task_by_key(ours, "syn".to_owned())).await, None);
    let ids = vec![unkeyed[1].id, TaskId::from_number(store.id()), mine.id, unkeyed[0].id];
    let found = store.read(|engine| engine.tasks_by_id(ids)).await;
    assert_eq!(found, [Some(unkeyed[1].clone()), None, Some(mine), Some(unkeyed[0].clone())], "in the order given");
}

/// Deleting a task that is gone is no error.
pub(super) async fn a_task_is_deleted_by_id_and_by_key(store: TestStore) {
    let (connection, other) = (store.connection().await, store.connection().await);
    let by_id = store.put_task(keyed(connection, store.id(), "a")).await;
    let by_key = store.put_task(keyed(connection, store.id(), "b")).await;
    let stays =
        [store.put_task(keyed(other, store.id(), "a")).await, store.put_task(keyed(other, store.id(), "b")).await];
    let writes = [Write::DeleteTask { id: by_id.id }, Write::DeleteTaskByKey { connection, key: "b".to_owned() }];
    let committed = store.apply(writes.clone()).await;
    assert_eq!(
        committed.tasks,
        [TaskChange::Gone(by_id.id), TaskChange::Gone(by_key.id)],
        "in the order of the writes"
    );
    gone(&store, &committed, &[&by_id, &by_key]).await;
    assert_eq!(store.read(|engine| engine.task_by_key(connection, "a".to_owned())).await, None);
    let committed = store.apply(writes).await;
    assert!(waiting(&committed).is_empty(), "{committed:?}");
    let there = stays[0].id;
    for task in stays {
        assert_eq!(store.task(task.id).await, Some(task));
    }
    let set = completes(&by_id, After::Delete);
    assert!(matches!(store.refused(set).await, CommitError::TaskGone), "a cancelled task cannot be completed");
    let relies = |id| WriteSet {
        connection: Some(connection),
        expects: vec![Expect::Task { id }],
        writes: vec![Write::DeleteState { connection, key: "any".to_owned() }],
        ..WriteSet::default()
    };
    assert!(matches!(store.refused(relies(by_id.id)).await, CommitError::TaskGone), "nor relied on");
    store.commit(relies(there)).await;
}

/// What users did in a channel and what waits is relied on: no more of it, and no less.
pub(super) async fn the_tasks_of_users_in_a_channel_are_expected(store: TestStore) {
    let (connection, other) = (store.connection().await, store.connection().await);
    let row = |connection, id, channel: &'static str, priority| TaskRow {
        channel: Some(ChannelId::new(channel)),
        priority,
        ..task_row(connection, id)
    };
    let user = TaskPriority::User;
    let first = store.put_task(row(connection, store.id(), "one", user)).await.id;
    store.put_task(row(connection, store.id(), "two", user)).await;
    store.put_task(row(connection, store.id(), "one", TaskPriority::Backfill)).await;
    store.put_task(row(other, store.id(), "one", user)).await;
    let second = store.put_task(row(connection, store.id(), "one", user)).await.id;
    let relies = |tasks: &[TaskId]| WriteSet {
        connection: Some(connection),
        expects: vec![Expect::UserTasks { connection, channel: ChannelId::new("one"), tasks: tasks.to_vec() }],
        writes: vec![Write::DeleteState { connection, key: "any".to_owned() }],
        ..WriteSet::default()
    };
    for wrong in [&[] as &[TaskId], &[first], &[second, first], &[first, second, TaskId::from_number(store.id())]] {
        assert!(matches!(store.refused(relies(wrong)).await, CommitError::RecordConflict), "{wrong:?}");
    }
    store.commit(relies(&[first, second])).await;
}

/// The tasks of a connection go, but for the one that says so; dead letters only if asked for.
pub(super) async fn the_tasks_of_a_connection_are_deleted(store: TestStore) {
    let (connection, other) = (store.connection().await, store.connection().await);
    let tasks = [
        store.put_task(tried(connection, store.id())).await,
        store.put_task(task_row(connection, store.id())).await,
        store.put_task(task_row(connection, store.id())).await,
    ];
    let theirs = store.put_task(tried(other, store.id())).await;
    let dead = |id| DeadTask { task: task_row(connection, id), died_at: at(1) };
    let (dead, their_dead) = (dead(store.id()), DeadTask { task: task_row(other, store.id()), died_at: at(1) });
    store.apply([Write::PutDead(dead.clone()), Write::PutDead(their_dead.clone())]).await;

    let except = Some(tasks[1].id);
    let committed = store.apply([Write::DeleteTasks { connection, channel: None, except, dead: false }]).await;
    gone(&store, &committed, &[&tasks[0], &tasks[2]]).await;
    assert!(!said_gone(&committed, &tasks[1]) && !said_gone(&committed, &theirs), "{committed:?}");
    assert_eq!(store.task(tasks[1].id).await.as_ref(), Some(&tasks[1]), "the one that says so stays");
    assert!(store.dead(dead.task.id).await.is_some(), "dead letters were not asked for");

    let committed = store.apply([Write::DeleteTasks { connection, channel: None, except: None, dead: true }]).await;
    gone(&store, &committed, &[&tasks[1]]).await;
    assert_eq!(store.dead(dead.task.id).await, None);
    assert!(store.dead(their_dead.task.id).await.is_some(), "another connection's dead letter stays");
    assert_eq!(store.task(theirs.id).await, Some(theirs), "another connection's task stays");
    let again = store.put_task(keyed(connection, store.id(), "sync")).await;
    assert_eq!(
        store.read(|engine| engine.task_by_key(connection, "sync".to_owned())).await,
        Some(again),
        "the key is free"
    );
}

/// The tasks of a channel go with it, and nobody else's.
pub(super) async fn the_tasks_of_a_channel_are_deleted(store: TestStore) {
    let (connection, other) = (store.connection().await, store.connection().await);
    let within = |connection, id, channel: &str| TaskRow { channel: Some(channel.into()), ..task_row(connection, id) };
    let gone_ones = [
        store.put_task(within(connection, store.id(), "a")).await,
        store.put_task(within(connection, store.id(), "a")).await,
    ];
    let says_so = store.put_task(within(connection, store.id(), "a")).await;
    let stay = [
        store.put_task(within(connection, store.id(), "A")).await,
        store.put_task(within(connection, store.id(), "a%")).await,
        store.put_task(within(other, store.id(), "a")).await,
        store.put_task(task_row(connection, store.id())).await,
    ];
    let dead = |id, channel: &str| DeadTask { task: within(connection, id, channel), died_at: at(1) };
    let (dead, other_dead) = (dead(store.id(), "a"), dead(store.id(), "b"));
    store.apply([Write::PutDead(dead.clone()), Write::PutDead(other_dead.clone())]).await;
    let delete = Write::DeleteTasks { connection, channel: Some("a".into()), except: Some(says_so.id), dead: true };
    let committed = store.apply([delete]).await;
    gone(&store, &committed, &[&gone_ones[0], &gone_ones[1]]).await;
    for task in stay.iter().chain([&says_so]) {
        assert!(!said_gone(&committed, task), "{committed:?}");
        assert_eq!(store.task(task.id).await.as_ref(), Some(task));
    }
    assert_eq!(store.dead(dead.task.id).await, None);
    assert!(store.dead(other_dead.task.id).await.is_some());
}

/// Waiting tasks whose key begins so run now; a run that is under way is followed by another.
pub(super) async fn tasks_are_hastened_by_the_prefix_of_their_key(store: TestStore) {
    let (connection, other) = (store.connection().await, store.connection().await);
    let later = |connection, id, key: &str| TaskRow { run_at: Some(at(60)), ..keyed(connection, id, key) };
    let hastened = [
        // One that is to run at once may be running, so it is changed too.
        store.put_task(keyed(connection, store.id(), "s_nc:now")).await,
        store.put_task(later(connection, store.id(), "s_nc:")).await,
        store.put_task(later(connection, store.id(), "s_nc:a")).await,
        store.put_task(TaskRow { key: Some("s_nc:b".to_owned()), ..tried(connection, store.id()) }).await,
    ];
    let stay = [
        store.put_task(later(connection, store.id(), "sync:a")).await,
        store.put_task(later(connection, store.id(), "s_nc")).await,
        store.put_task(later(connection, store.id(), "S_NC:a")).await,
        store.put_task(later(other, store.id(), "s_nc:a")).await,
        store.put_task(TaskRow { run_at: Some(at(60)), ..task_row(connection, store.id()) }).await,
    ];
    let committed = store.apply([Write::HastenTasks { connection, key_prefix: "s_nc:".to_owned() }]).await;
    let mut said = waiting(&committed);
    said.sort_by_key(|row| row.id);
    assert_eq!(said.len(), hastened.len(), "{committed:?}");
    for (row, old) in said.iter().zip(&hastened) {
        assert_eq!(unrevised(row), unrevised(&TaskRow { run_at: None, ..old.clone() }));
        assert_ne!(row.revision, old.revision, "it was changed from outside");
        assert_eq!(store.task(old.id).await.as_ref(), Some(row), "what the commit says is what is stored");
    }
    for task in stay {
        assert_eq!(store.task(task.id).await, Some(task));
    }
}

/// Pages of the tasks that are to run at once, none twice and none left out.
pub(super) async fn immediate_tasks_are_paged_by_id(store: TestStore) {
    let (connection, other) = (store.connection().await, store.connection().await);
    let mut all = Vec::new();
    for number in 0..7 {
        let owner = if number % 2 == 0 { connection } else { other };
        all.push(store.put_task(task_row(owner, store.id())).await);
        store.put_task(TaskRow { run_at: Some(at(number)), ..task_row(owner, store.id()) }).await;
    }
    let mut pages = Vec::new();
    let mut after = TaskId::from_number(0);
    loop {
        let page = store.read(|engine| engine.immediate_tasks(after, 3)).await;
        assert!(page.len() <= 3, "a page has at most its limit");
        let Some(last) = page.last() else { break };
        after = last.id;
        assert!(pages.len() <= ALL, "the pages have no end");
        pages.extend(page);
    }
    assert_eq!(pages, all);
}

async fn scheduled(store: &TestStore, limit: usize) -> Vec<TaskRow> {
    let mut pages = Vec::new();
    let mut after = (Timestamp::UNIX_EPOCH, TaskId::from_number(0));
    loop {
        let page = store.read(|engine| engine.scheduled_tasks(after, limit)).await;
        assert!(page.len() <= limit, "a page has at most its limit");
        assert!(pages.len() <= ALL, "the pages have no end");
        let Some(last) = page.last() else {
            return pages;
        };
        after = (last.run_at.expect("a scheduled task has a time"), last.id);
        pages.extend(page);
    }
}

/// Pages of the tasks that are to run at a time, none twice and none left out, also of those at the same time.
pub(super) async fn scheduled_tasks_are_paged_by_time_and_id(store: TestStore) {
    let connection = store.connection().await;
    let mut all = Vec::new();
    for micro in [5, 1, 3, 3, 3, 3, 3, 2_000_000, 1, 4_999_999_999_999, -1_000_000] {
        all.push(store.put_task(TaskRow { run_at: Some(at_micro(micro)), ..task_row(connection, store.id()) }).await);
        store.put_task(task_row(connection, store.id())).await;
    }
    all.sort_by_key(|row| (row.run_at, row.id));
    for limit in [1, 2, 3, ALL] {
        assert_eq!(scheduled(&store, limit).await, all, "in pages of {limit}");
    }
    let from = (all[4].run_at.expect("it has a time"), all[4].id);
    assert_eq!(store.read(|engine| engine.scheduled_tasks(from, ALL)).await, all[5..], "after a position");
}

/// Times that an engine cannot tell apart do not make a page lose or repeat a task.
pub(super) async fn scheduled_tasks_within_a_microsecond_are_paged_without_loss(store: TestStore) {
    let connection = store.connection().await;
    let mut all = Vec::new();
    for nano in [900, 1, 500, 999, 0, 2, 1_000, 999] {
        let run_at = Some(at(0) + SignedDuration::from_nanos(nano));
        all.push(store.put_task(TaskRow { run_at, ..task_row(connection, store.id()) }).await.id);
    }
    for limit in [1, 2, 3] {
        let mut found: Vec<_> = scheduled(&store, limit).await.into_iter().map(|row| row.id).collect();
        found.sort();
        assert_eq!(found, all, "in pages of {limit}");
    }
}

/// Tasks and dead letters for people to see, of all connections or of one, in pages.
pub(super) async fn tasks_and_dead_letters_are_listed(store: TestStore) {
    let (connection, other) = (store.connection().await, store.connection().await);
    let (mut tasks, mut dead) = (Vec::new(), Vec::new());
    for number in 0..6 {
        let owner = if number % 3 == 0 { other } else { connection };
        let run_at = (number % 2 == 0).then(|| at(100 - number));
        tasks.push(store.put_task(TaskRow { run_at, ..task_row(owner, store.id()) }).await);
        let letter = DeadTask { task: task_row(owner, store.id()), died_at: at(100 - number) };
        store.apply([Write::PutDead(letter.clone())]).await;
        dead.push(store.dead(letter.task.id).await.expect("it is there"));
    }
    for of in [None, Some(connection), Some(other), Some(ConnectionId::from_number(store.id()))] {
        let tasks: Vec<_> = tasks.iter().filter(|row| of.is_none_or(|of| row.connection == of)).cloned().collect();
        let dead: Vec<_> = dead.iter().filter(|row| of.is_none_or(|of| row.task.connection == of)).cloned().collect();
        for limit in [1, 2, ALL] {
            let (mut found, mut found_dead) = (Vec::new(), Vec::new());
            loop {
                let query = TaskQuery { connection: of, after: found.last().map(|row: &TaskRow| row.id), limit };
                let page = store.read(|engine| engine.tasks(query)).await;
                if page.is_empty() {
                    break;
                }
                found.extend(page);
                assert!(found.len() <= ALL, "the pages have no end");
            }
            loop {
                let query =
                    TaskQuery { connection: of, after: found_dead.last().map(|row: &DeadTask| row.task.id), limit };
                let page = store.read(|engine| engine.dead_tasks(query)).await;
                if page.is_empty() {
                    break;
                }
                found_dead.extend(page);
                assert!(found_dead.len() <= ALL, "the pages have no end");
            }
            assert_eq!(found, tasks, "the tasks of {of:?} in pages of {limit}");
            assert_eq!(found_dead, dead, "the dead letters of {of:?} in pages of {limit}");
        }
    }
}

/// R6.6: a dead letter can be put back under its own id; deleting one that is gone is no error.
pub(super) async fn a_dead_letter_becomes_a_task_again(store: TestStore) {
    let connection = store.connection().await;
    let task = store.put_task(tried(connection, store.id())).await;
    let then = After::Dead { attempt: 3, errors: vec![task_error(1)], at: at(50), again: None };
    store.commit(completes(&task, then)).await;
    let dead = store.dead(task.id).await.expect("it is a dead letter");
    let retried = TaskRow { attempt: 0, errors: Vec::new(), run_at: None, ..dead.task };
    let committed = store.apply([Write::DeleteDead { id: task.id }, put(&retried, KeyedTask::Keep)]).await;
    waits(&store, &committed, &retried).await;
    assert_eq!(store.dead(task.id).await, None);
    store.apply([Write::DeleteDead { id: task.id }]).await;
    assert!(store.task(task.id).await.is_some(), "a task is no dead letter");
}
