use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Context, Dispatch, Mode};
use crate::callback::{BoundTarget, CallbackInput, Invocable, InvocationTarget};
use crate::component::Component;
use crate::engine::{KeyedTask, TaskPriority, TaskQuery, TaskRow, Write};
use crate::error::{Error, Result};
use crate::hex;
use crate::id::TaskId;
use crate::runtime::payload::{
    DrainTask, LookScope, Mark, TaskPayload, declared_drain_key, drain_mark_prefix, drain_task_key, look_now,
};
use crate::value;
use crate::work::{DrainCallback, SyncCallback};

/// A task that was queued, for cancelling it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskToken(TaskId);

impl TaskToken {
    /// The task's id, as the host shows it.
    pub fn task(self) -> TaskId {
        self.0
    }
}

/// When a keyed task runs, and what becomes of one that waits with the same key (R6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scheduled {
    run_at: Option<Timestamp>,
    coalesce: bool,
}

impl Scheduled {
    /// As soon as possible.
    pub fn now() -> Self {
        Self::default()
    }

    /// Then.
    pub fn at(run_at: Timestamp) -> Self {
        Self { run_at: Some(run_at), coalesce: false }
    }

    /// One that waits stays, at the earlier of the two times; else the new one takes its place.
    pub fn coalesce(mut self) -> Self {
        self.coalesce = true;
        self
    }
}

/// Tasks that are read at once while all are cancelled.
const TASK_PAGE: usize = 1000;

/// Prefixes of task keys: those that a connector chooses do not meet those of the host.
const OWN_KEY: &str = "c/";

impl<C: Component> Context<C> {
    /// Queues a callback, to run as soon as this dispatch is stored (R6.1).
    pub async fn run_task(&self, target: impl Invocable<C>) -> Result<TaskToken> {
        self.queue(target, None, None).await
    }

    /// Queues a callback, to run then.
    pub async fn run_task_at(&self, target: impl Invocable<C>, run_at: Timestamp) -> Result<TaskToken> {
        self.queue(target, Some(run_at), None).await
    }

    /// Queues a callback with the input that it takes.
    pub async fn run_task_with<I: CallbackInput>(&self, target: impl Invocable<C, I>, input: I) -> Result<TaskToken> {
        let input =
            value::to_bytes(&input).map_err(|error| Error::bug("the input cannot be stored").with_source(error))?;
        self.queue(target, None, Some(input.into())).await
    }

    async fn queue<I>(
        &self,
        target: impl Invocable<C, I>,
        run_at: Option<Timestamp>,
        input: Option<Bytes>,
    ) -> Result<TaskToken> {
        let task = self.task(target.into_target()?, input).await?;
        let task = TaskRow { run_at: run_at.filter(|at| *at > self.now()), ..task };
        let token = TaskToken(task.id);
        self.dispatch.unit().push(Write::PutTask { task, keyed: KeyedTask::Replace });
        Ok(token)
    }

    /// A task as it is queued, to run at once.
    async fn task(&self, target: InvocationTarget, input: Option<Bytes>) -> Result<TaskRow> {
        let (payload, channel) = match target {
            InvocationTarget::Bound(BoundTarget { namespace, name, args, channel }) => {
                let payload = TaskPayload::Callback {
                    namespace: namespace.into(),
                    name: name.into(),
                    args: args.into(),
                    input,
                    token: None,
                };
                (payload, channel)
            }
            InvocationTarget::Token(token) => {
                let bound = self.dispatch.bound(&token).await?;
                let payload = TaskPayload::Callback {
                    namespace: bound.namespace.into(),
                    name: bound.name.into(),
                    args: bound.args,
                    input,
                    token: Some(token),
                };
                (payload, bound.channel)
            }
        };
        Ok(TaskRow { channel, ..self.dispatch.new_task(&payload)? })
    }

    /// Queues a callback of which at most one waits for `key` (R6.2).
    pub async fn schedule_task(&self, key: &str, target: impl Invocable<C>, when: Scheduled) -> Result<TaskToken> {
        let key = own_key(C::NAMESPACE, key);
        let task = self.task(target.into_target()?, None).await?;
        let task = TaskRow { run_at: when.run_at.filter(|at| *at > self.now()), key: Some(key.clone()), ..task };
        // One that waits keeps its id. The one that runs here ends with this dispatch, and a new one takes the key.
        let stored =
            self.dispatch.shared.ports.engine.task_by_key(self.connection(), key.clone()).await?.map(|task| task.id);
        let waits =
            stored.filter(|id| Some(*id) != self.dispatch.task).or_else(|| self.dispatch.unit().task_by_key(&key));
        let token = TaskToken(waits.unwrap_or(task.id));
        let keyed = if when.coalesce { KeyedTask::Coalesce } else { KeyedTask::Replace };
        self.dispatch.unit().push(Write::PutTask { task, keyed });
        Ok(token)
    }

    /// Runs a callback at an interval, whatever happens to a run; one for each key (R6.3).
    /// Scheduling it again changes its interval and callback, and starts it anew.
    pub async fn schedule_recurring(
        &self,
        key: &str,
        target: impl Invocable<C>,
        interval: SignedDuration,
        first_run_at: Option<Timestamp>,
    ) -> Result<()> {
        if interval < SignedDuration::from_secs(1) {
            return Err(Error::bug(format!(
                "the interval of `{key}` is under a second: that is a loop, not a schedule"
            )));
        }
        let task = self.task(target.into_target()?, None).await?;
        let task = TaskRow {
            run_at: first_run_at.filter(|at| *at > self.now()),
            key: Some(own_key(C::NAMESPACE, key)),
            every_ms: Some(i64::try_from(interval.as_millis()).unwrap_or(i64::MAX)),
            ..task
        };
        self.dispatch.unit().push(Write::PutTask { task, keyed: KeyedTask::Replace });
        Ok(())
    }

    /// Cancels what `schedule_task` or `schedule_recurring` queued for a key; none is no error.
    pub async fn cancel_scheduled(&self, key: &str) -> Result<()> {
        let connection = self.connection();
        self.dispatch.unit().push(Write::DeleteTaskByKey { connection, key: own_key(C::NAMESPACE, key) });
        Ok(())
    }

    /// Cancels a task. One that has run, or never was, is no error (R6.1).
    pub async fn cancel_task(&self, token: &TaskToken) -> Result<()> {
        self.dispatch.unit().take_back(token.0);
        let stored = self.dispatch.shared.ports.engine.tasks_by_id(vec![token.0]).await?.pop().flatten();
        if let Some(task) = stored.filter(|task| task.connection == self.connection()) {
            let mut unit = self.dispatch.unit();
            if let Some(key) = &task.key {
                unit.take_back_tasks(|pending| pending.key.as_ref() == Some(key));
            }
            unit.push(Write::DeleteTask { id: token.0 });
        }
        Ok(())
    }

    /// Cancels all tasks that the connector has queued in this connection, but the one that is running
    /// here. Declared work, drains, and what users wait for are the host's, and stay.
    pub async fn cancel_all_tasks(&self) -> Result<()> {
        let queued = |task: &TaskRow| matches!(value::from_bytes(&task.payload), Ok(TaskPayload::Callback { .. }));
        self.dispatch.unit().take_back_tasks(queued);
        let mut query = TaskQuery { connection: Some(self.connection()), ..TaskQuery::all(TASK_PAGE) };
        loop {
            let tasks = self.dispatch.shared.ports.engine.tasks(query.clone()).await?;
            let (count, last) = (tasks.len(), tasks.last().map(|task| task.id));
            let mut unit = self.dispatch.unit();
            for task in tasks.into_iter().filter(|task| Some(task.id) != self.dispatch.task && queued(task)) {
                unit.push(Write::DeleteTask { id: task.id });
            }
            if count < TASK_PAGE {
                return Ok(());
            }
            query.after = last;
        }
    }

    /// Marks ids dirty, for a declared `#[drain]` to take (R11.2). One that is marked again before or
    /// during the pass is handed over (again). What is marked in a channel that is not enabled is of no
    /// concern, and forgotten: services push what happens in any. The drain runs in the mode in which its ids were
    /// marked: what a backfill marks is no news (R8.5).
    pub async fn mark_dirty<M: DrainCallback<Component = C>>(
        &self,
        drain: M,
        ids: impl IntoIterator<Item = M::Id> + Send,
    ) -> Result<()> {
        let Some(crate::work::Work::Drain { batch, delay, max_attempts }) =
            self.dispatch.connection.connector.callback(C::NAMESPACE, M::NAME).and_then(|found| found.entry.work)
        else {
            return Err(Error::bug(format!("`{}` is not declared as a drain", M::NAME)));
        };
        let channels = &self.dispatch.connection.channels;
        if drain.channel().is_some_and(|channel| !channels.get(channel).is_some_and(|row| row.enabled)) {
            return Ok(());
        }
        let key = declared_drain_key(C::NAMESPACE, M::NAME, drain.channel());
        self.drain(key, drain, ids, batch, delay, max_attempts).await
    }

    /// Lets a declared `#[sync]` look for changes now, for a push that does not say what has changed (R11.1). However
    /// often it is asked for meanwhile, it runs once; while it runs, it runs once more. In a channel that is not
    /// enabled nothing is looked for.
    pub async fn sync_now<M: SyncCallback<Component = C>>(&self, sync: M) -> Result<()> {
        let connection = self.connection();
        let declared = self.dispatch.connection.connector.work_of(C::NAMESPACE, M::NAME);
        let name = declared.map_or(M::NAME, |declared| declared.name.as_str());
        let mut unit = self.dispatch.unit();
        for write in look_now(connection, LookScope::Sync { name, channel: sync.channel() }) {
            unit.push(write);
        }
        Ok(())
    }

    /// Hands changed ids to a callback that takes `Vec<Id>` and returns `Drained<Id>`, in one pass for a
    /// burst of them (R6.4). Ids are stored, and forgotten only after the callback took them.
    pub async fn schedule_drain<M: DrainCallback<Component = C>>(
        &self,
        key: &str,
        handler: M,
        ids: impl IntoIterator<Item = M::Id> + Send,
        batch: u32,
        delay: Duration,
        max_attempts: u32,
    ) -> Result<()> {
        self.drain(own_key(C::NAMESPACE, key), handler, ids, batch, delay, max_attempts).await
    }

    async fn drain<M: DrainCallback<Component = C>>(
        &self,
        key: String,
        handler: M,
        ids: impl IntoIterator<Item = M::Id> + Send,
        batch: u32,
        delay: Duration,
        max_attempts: u32,
    ) -> Result<()> {
        let prefix = drain_mark_prefix(&key);
        let marks = ids
            .into_iter()
            .map(|id| {
                let bytes =
                    value::to_bytes(&id).map_err(|error| Error::bug("an id cannot be stored").with_source(error))?;
                Ok(format!("{prefix}{}", hex::encode(&bytes)))
            })
            .collect::<Result<Vec<_>>>()?;
        if marks.is_empty() {
            return Ok(());
        }
        let BoundTarget { namespace, name, args, channel } = BoundTarget::of(&handler)?;
        let drain = DrainTask {
            namespace: namespace.into(),
            name: name.into(),
            args: args.into(),
            key: key.clone(),
            batch,
            max_attempts,
            only: None,
            mode: Mode::default(),
        };
        let run_at = self.now().checked_add(SignedDuration::try_from(delay).unwrap_or(SignedDuration::ZERO)).ok();
        let task = TaskRow {
            channel,
            run_at: run_at.filter(|at| *at > self.now()),
            key: Some(drain_task_key(&key)),
            priority: TaskPriority::Webhook,
            ..self.dispatch.new_task(&TaskPayload::Drain(drain))?
        };
        let mode = self.dispatch.mode;
        // What was marked live is news still, also when a walk meets it before the drain does.
        let stored = match mode {
            Mode::Live => Vec::new(),
            _ => self.dispatch.read_state(marks.clone()).await?,
        };
        let mut stored = stored.into_iter();
        let mut unit = self.dispatch.unit();
        for key in marks {
            let known = stored.next().flatten().map(|stored| Mark::decode(&stored).mode);
            let mode = known.filter(|known| *known == Mode::Live).unwrap_or(mode);
            unit.put(key, Some(Mark { attempts: 0, mode }.encode()?));
        }
        unit.push(Write::PutTask { task, keyed: KeyedTask::Coalesce });
        Ok(())
    }

    /// Forgets the ids that wait for a drain, and its pass.
    pub async fn cancel_drain(&self, key: &str) -> Result<()> {
        let (connection, key) = (self.connection(), own_key(C::NAMESPACE, key));
        let mut unit = self.dispatch.unit();
        unit.clear(drain_mark_prefix(&key));
        unit.push(Write::DeleteTaskByKey { connection, key: drain_task_key(&key) });
        Ok(())
    }
}

/// The key of a task or drain that a connector, or a tool of it, chose.
pub(crate) fn own_key(namespace: &str, key: &str) -> String {
    format!("{OWN_KEY}{namespace}/{key}")
}

impl Dispatch {
    /// A task of this connection, to run at once.
    pub(crate) fn new_task(&self, payload: &TaskPayload) -> Result<TaskRow> {
        let id = TaskId::from_number(self.shared.ports.engine.take_ids(1));
        let mut task = payload.task(id, self.connection_id())?;
        if self.mode != Mode::Live {
            task.priority = TaskPriority::Backfill;
        }
        Ok(task)
    }
}
