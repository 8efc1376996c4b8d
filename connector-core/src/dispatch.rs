//! Erased dispatch: how the host calls hooks and callbacks of connectors whose types it does not know.

use std::any::{Any, TypeId};
use std::panic::Location;
use std::sync::Arc;

use bytes::Bytes;
use jiff::civil::Date;
use serde_json::{Map, Value};

use crate::callback::{BoundCallback, CallbackInput, CallbackReturn};
use crate::clock::BoxFuture;
use crate::component::{Component, Declared};
use crate::connector::Connector;
use crate::context::{Context, Dispatch};
use crate::declaration::{Declaration, Hooks};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ChannelId;
use crate::model::{
    Account, Actor, Attachment, Attendance, Authorization, Channel, Contact, ContactChanges, Download, Emoji, Link,
    LinkChanges, LinkDraft, LinkFilter, NewLink, Note, Schedule, SyncContext, Thread, WriteBack,
};
use crate::options::Options;
use crate::schema::{ArgumentsFn, ArgumentsSchema, SchemaFn};
use crate::tool::Tool;
use crate::work::{Drained, Step, SubscriptionFns, Work};

/// What an invoker gives to a callback: nothing, something stored, or something in memory.
pub enum Input {
    /// Nothing.
    None,
    /// Stored, in the form of [`crate::value`].
    Encoded(Bytes),
    /// The stored cursor of a `#[sync]`, in the same form. One that its type does not read any more has expired.
    Cursor(Bytes),
    /// Of the input's own type.
    Typed(Box<dyn Any + Send>),
    /// The ids that a drain is handed, each encoded.
    Ids(Vec<Bytes>),
}

/// What a callback gave back, with what the host can do with it.
pub enum Returned {
    /// A value of the callback's output type, and how to show it as JSON where it can be.
    Value(Box<dyn Any + Send>),
    /// A `#[sync]` step.
    Step(EncodedStep),
    /// The ids that a `#[drain]` wants again, each encoded.
    Drained(Vec<Bytes>),
}

/// A [`Step`] whose cursor is encoded as the input of the next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EncodedStep {
    /// Go on at once.
    Next(Bytes),
    /// Go on then.
    Wait(jiff::Timestamp, Bytes),
    /// The walk has ended.
    Done(Bytes),
    /// The walk has ended, and has met everything that meets the filter.
    Complete(LinkFilter, Bytes),
}

/// One call of one callback of a block.
pub struct Call<'a> {
    pub(crate) dispatch: &'a Arc<Dispatch>,
    pub(crate) args: &'a [u8],
    pub(crate) input: Input,
    pub(crate) name: &'static str,
    /// The position of the callback in its block.
    pub index: usize,
}

impl Call<'_> {
    /// The context of the component.
    pub fn context<C: Component>(&self) -> Result<Context<C>> {
        Context::new(self.dispatch)
    }

    /// The message: the bound arguments.
    pub fn message<M: BoundCallback>(&self) -> Result<M> {
        M::decode(self.args).map_err(|error| {
            Error::new(
                ErrorKind::Bug,
                format!(
                    "the stored arguments of `{}` do not fit its parameters any more: give new ones a `#[default]`",
                    self.name
                ),
            )
            .with_source(error)
        })
    }

    /// What the invoker gave.
    pub fn input<I: CallbackInput>(&mut self) -> Result<I> {
        let wrong =
            |name: &str| Error::bug(format!("`{name}` was invoked with an input of another type than it takes"));
        match std::mem::replace(&mut self.input, Input::None) {
            Input::Typed(input) => input.downcast().map(|input| *input).map_err(|_| wrong(self.name)),
            Input::Encoded(bytes) => {
                crate::value::from_bytes(&bytes).map_err(|error| wrong(self.name).with_source(error))
            }
            Input::Cursor(bytes) => crate::value::from_bytes(&bytes).map_err(|error| {
                let message = format!("the stored cursor of `{}` is of another type than it takes: {error}", self.name);
                Error::cursor_expired(message)
            }),
            Input::None | Input::Ids(_) => Err(wrong(self.name)),
        }
    }

    /// The ids that a drain is handed.
    pub fn ids<I: CallbackInput>(&mut self) -> Result<Vec<I>> {
        let decode = |bytes: &Bytes| {
            crate::value::from_bytes(bytes).map_err(|error| {
                Error::bug(format!("an id of `{}` is of another type than it takes", self.name)).with_source(error)
            })
        };
        match &self.input {
            Input::Ids(ids) => ids.iter().map(decode).collect(),
            _ => Err(Error::bug(format!("`{}` is run by the host: mark its ids dirty", self.name))),
        }
    }
}

/// Wraps what a plain callback returned.
pub fn returned<R: CallbackReturn>(result: R) -> Result<Returned> {
    result.into_result().map(|value| Returned::Value(Box::new(value)))
}

/// Wraps what a `#[sync]` returned.
pub fn returned_step<C, R>(result: R) -> Result<Returned>
where
    C: CallbackInput,
    R: CallbackReturn<Output = Step<C>>,
{
    let encode = |cursor: C| -> Result<Bytes> {
        let bytes = crate::value::to_bytes(&Some(cursor))
            .map_err(|error| Error::bug("the cursor cannot be stored").with_source(error))?;
        Ok(bytes.into())
    };
    Ok(Returned::Step(match result.into_result()? {
        Step::Next(cursor) => EncodedStep::Next(encode(cursor)?),
        Step::Wait(until, cursor) => EncodedStep::Wait(until, encode(cursor)?),
        Step::Done(cursor) => EncodedStep::Done(encode(cursor)?),
        Step::Complete(filter, cursor) => EncodedStep::Complete(filter, encode(cursor)?),
    }))
}

/// Wraps what a `#[drain]` returned.
pub fn returned_drain<I, R>(result: R) -> Result<Returned>
where
    I: serde::Serialize + Send + 'static,
    R: CallbackReturn<Output = Drained<I>>,
{
    let drained = result.into_result()?;
    let encode = |id: &I| -> Result<Bytes> {
        let bytes =
            crate::value::to_bytes(id).map_err(|error| Error::bug("an id cannot be stored").with_source(error))?;
        Ok(bytes.into())
    };
    Ok(Returned::Drained(drained.retry.iter().map(encode).collect::<Result<_>>()?))
}

/// No callback of a block has this position; cannot happen with generated code.
pub fn no_such_callback<T>(call: &Call<'_>) -> Result<T> {
    Err(Error::bug(format!("`{}` has no code", call.name)))
}

/// One callback of a block, as constant data.
#[derive(Debug, Clone, Copy)]
pub struct CallbackEntry {
    /// Stable name.
    pub name: &'static str,
    /// Former names, whose tokens still run (R4.5).
    pub aliases: &'static [&'static str],
    /// From the doc comment.
    pub description: &'static str,
    /// When it runs by itself.
    pub work: Option<Work>,
    /// There is one scope of its work for each enabled channel, in place of one for the connection.
    pub per_channel: bool,
    /// Of a combined connector: only for channels of this product.
    pub product: Option<&'static str>,
    /// Names its arguments.
    pub arguments: ArgumentsFn,
    /// Shows its value as JSON, for one that is invoked with an input.
    pub output: Option<OutputFn>,
    /// The schema of what it is given beside its arguments: an input, the cursor of a sync, the ids of a drain.
    pub input: Option<SchemaFn>,
    /// The schema of what it returns, for one that is invoked with an input.
    pub returns: Option<SchemaFn>,
    /// How it is registered at the service, for a webhook that has a URL of its own.
    pub subscription: Option<SubscriptionFns>,
}

impl CallbackEntry {
    /// A callback that runs when it is told to.
    pub const fn new(name: &'static str, description: &'static str, arguments: ArgumentsFn) -> Self {
        Self {
            name,
            aliases: &[],
            description,
            work: None,
            per_channel: false,
            product: None,
            arguments,
            output: None,
            input: None,
            returns: None,
            subscription: None,
        }
    }

    /// With former names.
    pub const fn aliases(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    /// With what it runs by itself for.
    pub const fn work(self, work: Work, per_channel: bool) -> Self {
        Self { work: Some(work), per_channel, ..self }
    }

    /// Only for channels of a product.
    pub const fn product(self, product: &'static str) -> Self {
        Self { product: Some(product), ..self }
    }

    /// With how its value is shown.
    pub const fn output(self, output: OutputFn) -> Self {
        Self { output: Some(output), ..self }
    }

    /// With the schema of what it is given beside its arguments.
    pub const fn input(self, input: SchemaFn) -> Self {
        Self { input: Some(input), ..self }
    }

    /// With the schema of what it returns.
    pub const fn returns(self, returns: SchemaFn) -> Self {
        Self { returns: Some(returns), ..self }
    }

    /// With how it is registered at the service.
    pub const fn subscription(self, subscription: SubscriptionFns) -> Self {
        Self { subscription: Some(subscription), ..self }
    }

    /// The JSON Schema of its arguments.
    pub fn arguments_schema(&self) -> Value {
        ArgumentsSchema::of(self.arguments)
    }

    /// Whether there is a scope of its work for this channel.
    pub(crate) fn concerns(&self, channel: &ChannelId) -> bool {
        self.per_channel && self.product.is_none_or(|product| channel.in_product(product).is_some())
    }
}

/// Shows a value of a callback's output type as JSON.
pub type OutputFn = fn(&dyn Any) -> Result<Value>;

/// The callbacks of one `#[connector] impl` block, and the function that runs them.
#[derive(Clone, Copy)]
pub struct CallbackBlock {
    pub(crate) component: fn() -> TypeId,
    pub(crate) component_name: fn() -> &'static str,
    pub(crate) entries: &'static [CallbackEntry],
    pub(crate) run: for<'a> fn(Call<'a>) -> BoxFuture<'a, Result<Returned>>,
    pub(crate) location: &'static Location<'static>,
}

impl CallbackBlock {
    /// The callbacks of `C` in this place.
    #[track_caller]
    pub const fn new<C: Component>(
        entries: &'static [CallbackEntry],
        run: for<'a> fn(Call<'a>) -> BoxFuture<'a, Result<Returned>>,
    ) -> Self {
        Self {
            component: TypeId::of::<C>,
            component_name: std::any::type_name::<C>,
            entries,
            run,
            location: Location::caller(),
        }
    }
}

/// The hooks that the `impl Connector` of a connector has; implemented by `#[connector]` on that impl.
#[diagnostic::on_unimplemented(
    message = "the hooks of `{Self}` are not known",
    label = "has no `#[connector] impl Connector`",
    note = "write `#[connector] impl Connector for {Self} {{ … }}`, which may be empty; what is declared is checked against it"
)]
pub trait HooksOf: Connector {
    /// Which hooks there are.
    const HOOKS: Hooks;
}

/// A connector that is linked into the program.
#[derive(Clone, Copy)]
pub struct Registration {
    pub(crate) declaration: &'static Declaration,
    pub(crate) hooks: Hooks,
    pub(crate) component: fn() -> TypeId,
    pub(crate) run_hook: RunHook,
    pub(crate) read_options: ReadOptions,
    pub(crate) location: &'static Location<'static>,
}

/// Reads the values of a connection's options into the connector's own type of them.
pub(crate) type ReadOptions = fn(&Map<String, Value>) -> Result<Arc<dyn Any + Send + Sync>>;

pub(crate) type RunHook = for<'a> fn(&'a Arc<Dispatch>, HookCall) -> BoxFuture<'a, Result<HookReply>>;

impl Registration {
    /// The connector `C`.
    #[track_caller]
    pub const fn new<C: HooksOf>() -> Self {
        Self {
            declaration: <C as Declared>::DECLARATION,
            hooks: C::HOOKS,
            component: TypeId::of::<C>,
            run_hook: run_hook::<C>,
            read_options: read_options::<C>,
            location: Location::caller(),
        }
    }
}

inventory::collect!(Registration);
inventory::collect!(CallbackBlock);

pub(crate) fn read_options<C: Component>(values: &Map<String, Value>) -> Result<Arc<dyn Any + Send + Sync>> {
    let options = C::Options::from_values(values).map_err(|errors| {
        Error::new(ErrorKind::Bug, format!("the stored options do not fit the declared ones: {errors}"))
    })?;
    Ok(Arc::new(options))
}

/// A hook with everything that it is called with.
pub(crate) enum HookCall {
    Activate {
        authorization: Authorization,
        actor: Actor,
    },
    Upgrade {
        from: String,
    },
    Deactivate,
    OptionsChanged {
        old: Map<String, Value>,
        new: Map<String, Value>,
    },
    GetAccountName {
        account: Account,
    },
    GetAccountIdentity {
        account: Account,
    },
    GetAccountTenant {
        account: Account,
    },
    GetChannels {
        account: Account,
    },
    ChannelEnabled {
        channel: Channel,
        sync: SyncContext,
    },
    ChannelDisabled {
        channel: Channel,
    },
    LinkUpdated {
        link: Link,
        changes: LinkChanges,
    },
    CreateLink {
        draft: LinkDraft,
    },
    NoteCreated {
        note: Note,
        thread: Thread,
    },
    NoteUpdated {
        note: Note,
        thread: Thread,
    },
    ThreadRead {
        thread: Thread,
        actor: Actor,
        unread: bool,
    },
    ThreadToDo {
        thread: Thread,
        actor: Actor,
        todo: bool,
        date: Option<Date>,
    },
    ContactsChanged {
        thread: Thread,
        changes: ContactChanges,
    },
    ScheduleContactUpdated {
        thread: Thread,
        schedule: Schedule,
        contact: Contact,
        attendance: Option<Attendance>,
        actor: Actor,
    },
    NoteReactionChanged {
        note: Note,
        thread: Thread,
        actor: Actor,
        emoji: Emoji,
        added: bool,
    },
    DownloadAttachment {
        attachment: Attachment,
        link: Link,
    },
}

/// Hooks that the user waits for, and that may only queue work (R3.5).
pub(crate) const QUICK_HOOKS: [&str; 2] = ["activate", "on_channel_enabled"];

impl HookCall {
    /// The hook's name and bit.
    pub(crate) fn hook(&self) -> (&'static str, Hooks) {
        match self {
            Self::Activate { .. } => ("activate", Hooks::ACTIVATE),
            Self::Upgrade { .. } => ("upgrade", Hooks::UPGRADE),
            Self::Deactivate => ("deactivate", Hooks::DEACTIVATE),
            Self::OptionsChanged { .. } => ("on_options_changed", Hooks::OPTIONS_CHANGED),
            Self::GetAccountName { .. } => ("get_account_name", Hooks::GET_ACCOUNT_NAME),
            Self::GetAccountIdentity { .. } => ("get_account_identity", Hooks::GET_ACCOUNT_IDENTITY),
            Self::GetAccountTenant { .. } => ("get_account_tenant", Hooks::GET_ACCOUNT_TENANT),
            Self::GetChannels { .. } => ("get_channels", Hooks::GET_CHANNELS),
            Self::ChannelEnabled { .. } => ("on_channel_enabled", Hooks::CHANNEL_ENABLED),
            Self::ChannelDisabled { .. } => ("on_channel_disabled", Hooks::CHANNEL_DISABLED),
            Self::LinkUpdated { .. } => ("on_link_updated", Hooks::LINK_UPDATED),
            Self::CreateLink { .. } => ("on_create_link", Hooks::CREATE_LINK),
            Self::NoteCreated { .. } => ("on_note_created", Hooks::NOTE_CREATED),
            Self::NoteUpdated { .. } => ("on_note_updated", Hooks::NOTE_UPDATED),
            Self::ThreadRead { .. } => ("on_thread_read", Hooks::THREAD_READ),
            Self::ThreadToDo { .. } => ("on_thread_to_do", Hooks::THREAD_TO_DO),
            Self::ContactsChanged { .. } => ("on_contacts_changed", Hooks::CONTACTS_CHANGED),
            Self::ScheduleContactUpdated { .. } => ("on_schedule_contact_updated", Hooks::SCHEDULE_CONTACT_UPDATED),
            Self::NoteReactionChanged { .. } => ("on_note_reaction_changed", Hooks::NOTE_REACTION_CHANGED),
            Self::DownloadAttachment { .. } => ("download_attachment", Hooks::DOWNLOAD_ATTACHMENT),
        }
    }

    /// It may send requests to the service: all but the hooks that the user waits for (R3.5).
    pub(crate) fn may_call_out(&self) -> bool {
        !QUICK_HOOKS.contains(&self.hook().0)
    }
}

/// What a hook gave back.
pub(crate) enum HookReply {
    Done,
    AccountName(Option<String>),
    Identity(Option<Actor>),
    Tenant(Option<String>),
    Channels(Vec<Channel>),
    Created(Option<Box<NewLink>>),
    WriteBack(WriteBack),
    Download(Download),
}

fn run_hook<'a, C: Connector>(dispatch: &'a Arc<Dispatch>, call: HookCall) -> BoxFuture<'a, Result<HookReply>> {
    Box::pin(async move {
        let cx = &Context::<C>::new(dispatch)?;
        let connector = C::instance();
        match call {
            HookCall::Activate { authorization, actor } => connector.activate(cx, &authorization, &actor).await?,
            HookCall::Upgrade { from } => connector.upgrade(cx, &from).await?,
            HookCall::Deactivate => connector.deactivate(cx).await?,
            HookCall::OptionsChanged { old, new } => {
                let read = |values| {
                    C::Options::from_values(values)
                        .map_err(|errors| Error::bug(format!("the options do not fit: {errors}")))
                };
                connector.on_options_changed(cx, &read(&old)?, &read(&new)?).await?;
            }
            HookCall::GetAccountName { account } => {
                return connector.get_account_name(cx, &account).await.map(HookReply::AccountName);
            }
            HookCall::GetAccountIdentity { account } => {
                return connector.get_account_identity(cx, &account).await.map(HookReply::Identity);
            }
            HookCall::GetAccountTenant { account } => {
                return connector.get_account_tenant(cx, &account).await.map(HookReply::Tenant);
            }
            HookCall::GetChannels { account } => {
                return connector.get_channels(cx, &account).await.map(HookReply::Channels);
            }
            HookCall::ChannelEnabled { channel, sync } => connector.on_channel_enabled(cx, channel, sync).await?,
            HookCall::ChannelDisabled { channel } => connector.on_channel_disabled(cx, channel).await?,
            HookCall::LinkUpdated { link, changes } => connector.on_link_updated(cx, &link, &changes).await?,
            HookCall::CreateLink { draft } => {
                return connector.on_create_link(cx, draft).await.map(|link| HookReply::Created(link.map(Box::new)));
            }
            HookCall::NoteCreated { note, thread } => {
                return connector.on_note_created(cx, &note, &thread).await.map(HookReply::WriteBack);
            }
            HookCall::NoteUpdated { note, thread } => {
                return connector.on_note_updated(cx, &note, &thread).await.map(HookReply::WriteBack);
            }
            HookCall::ThreadRead { thread, actor, unread } => {
                connector.on_thread_read(cx, &thread, &actor, unread).await?
            }
            HookCall::ThreadToDo { thread, actor, todo, date } => {
                connector.on_thread_to_do(cx, &thread, &actor, todo, date).await?;
            }
            HookCall::ContactsChanged { thread, changes } => {
                connector.on_contacts_changed(cx, &thread, &changes).await?
            }
            HookCall::ScheduleContactUpdated { thread, schedule, contact, attendance, actor } => {
                connector.on_schedule_contact_updated(cx, &thread, &schedule, &contact, attendance, &actor).await?;
            }
            HookCall::NoteReactionChanged { note, thread, actor, emoji, added } => {
                connector.on_note_reaction_changed(cx, &note, &thread, &actor, &emoji, added).await?;
            }
            HookCall::DownloadAttachment { attachment, link } => {
                return connector.download_attachment(cx, &attachment, &link).await.map(HookReply::Download);
            }
        }
        Ok(HookReply::Done)
    })
}

/// One of the hooks of tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ToolHook {
    PreActivate,
    PostActivate,
    PreUpgrade,
    PostUpgrade,
    PreDeactivate,
    PostDeactivate,
}

/// Runs the hooks of one tool.
#[derive(Clone, Copy)]
pub(crate) struct ToolHooks {
    pub(crate) component: fn() -> TypeId,
    pub(crate) run: for<'a> fn(&'a Arc<Dispatch>, ToolHook) -> BoxFuture<'a, Result<()>>,
}

impl ToolHooks {
    pub(crate) const fn of<T: Tool>() -> Self {
        Self { component: TypeId::of::<T>, run: run_tool_hook::<T> }
    }
}

impl std::fmt::Debug for ToolHooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ToolHooks")
    }
}

fn run_tool_hook<'a, T: Tool>(dispatch: &'a Arc<Dispatch>, hook: ToolHook) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        let cx = &Context::<T>::new(dispatch)?;
        let tool = T::instance();
        match hook {
            ToolHook::PreActivate => tool.pre_activate(cx).await,
            ToolHook::PostActivate => tool.post_activate(cx).await,
            ToolHook::PreUpgrade => tool.pre_upgrade(cx).await,
            ToolHook::PostUpgrade => tool.post_upgrade(cx).await,
            ToolHook::PreDeactivate => tool.pre_deactivate(cx).await,
            ToolHook::PostDeactivate => tool.post_deactivate(cx).await,
        }
    })
}
