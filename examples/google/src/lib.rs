//! Gmail, Google Calendar and Google Tasks in one connector: three products, each with its own optional scopes.

mod calendar;
mod mail;
mod tasks;

use connector_core::network::RequestBuilder;
use connector_core::prelude::*;
use connector_core::walk::{Items, Pages};

use calendar::ApiCalendar;
use mail::ApiLabel;
use tasks::ApiTaskList;

/// Mail, events and tasks of your Google account.
#[connector(
    id = "google",
    name = "Google",
    provider = Google,
    scopes(
        required = ["openid", "email", "profile"],
        optional(
            id = "mail",
            label = "Gmail",
            description = "Reads and sends mail",
            scopes = ["https://www.googleapis.com/auth/gmail.modify"],
            default = true,
        ),
        optional(
            id = "calendar",
            label = "Calendar",
            description = "Reads, makes and changes events, and answers invitations",
            scopes = ["https://www.googleapis.com/auth/calendar"],
            default = true,
        ),
        optional(
            id = "tasks",
            label = "Tasks",
            description = "Reads and changes tasks",
            scopes = ["https://www.googleapis.com/auth/tasks"],
            default = true,
        ),
    ),
    products(
        mail(label = "Gmail", scope_group = "mail"),
        calendar(label = "Calendar", scope_group = "calendar"),
        tasks(label = "Tasks", scope_group = "tasks"),
    ),
    access = ["Reads and sends mail, marks it read and stars it", "Reads, makes and changes events and answers invitations", "Reads and changes tasks"],
    urls = ["https://www.googleapis.com/*"],
    link_types = [Conversation, Event, Task],
    options = GoogleOptions,
    handle_replies,
    multiple_instances,
)]
#[derive(Default)]
pub struct Google;

/// Mails that answer each other.
#[link_type(
    label = "Conversation",
    source_name = "Gmail",
    note_label = "Mail",
    compose_label = "New mail",
    reply_label = "Reply",
    sharing = Message,
    supports(attachments),
    contact_roles(from, to(label = "To", default), cc(label = "Cc"), bcc(label = "Bcc")),
    compose(target = addresses),
    meta = ConversationMeta,
)]
pub struct Conversation;

/// What Gmail says of a conversation beyond the common model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConversationMeta {
    /// Gmail's id of it in this mailbox.
    pub thread: String,
}

/// An event of a calendar, with all of its occurrences.
#[link_type(
    label = "Event",
    source_name = "Google Calendar",
    sharing = Thread,
    schedules,
    compose_label = "New event",
    supports(schedule_changes),
    compose(target = channels, status = Confirmed),
    contact_roles(organizer, attendee(default), optional),
    meta = EventMeta,
)]
pub enum Event {
    /// Takes place.
    #[status(icon = Confirmed)]
    Confirmed,
    /// May take place.
    #[status(icon = Tentative)]
    Tentative,
    /// Does not take place.
    #[status(icon = Cancelled, done)]
    Cancelled,
}

/// What Google Calendar says of an event beyond the common model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventMeta {
    /// Its id in its calendar; of what recurs, that of the master.
    pub event: String,
    /// Where it takes place.
    pub location: Option<String>,
}

/// A task of a list.
#[link_type(label = "Task", source_name = "Google Tasks", sharing = None, compose(status = Open, todo), meta = TaskMeta)]
pub enum Task {
    /// To be done.
    #[status(icon = Todo, todo)]
    Open,
    /// Done.
    #[status(icon = Done, done)]
    Done,
}

/// What Google Tasks says of a task beyond the common model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskMeta {
    /// When it is due.
    pub due: Option<Date>,
}

/// What a user can set.
#[derive(Options)]
pub struct GoogleOptions {
    /// How far back the first sync of mail and events goes, in days.
    #[option(label = "History", default = 90, min = 1, max = 3650)]
    pub history_days: u32,
}

/// Google's id of a channel, behind that of its product.
fn own_id(channel: &ChannelId) -> &str {
    channel.as_str().split_once(':').map_or("", |(_, id)| id)
}

/// As far back as the user wants.
fn horizon(cx: &Context<Google>) -> Timestamp {
    cx.integrations().history(cx.options().history_days)
}

/// A page of one of Google's lists.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound = "T: serde::de::DeserializeOwned")]
struct Page<T> {
    #[serde(alias = "threads", alias = "labels", alias = "history", default = "Items::default")]
    items: Items<T>,
    next_page_token: Option<String>,
    next_sync_token: Option<String>,
    history_id: Option<String>,
    updated: Option<Timestamp>,
}

/// The request for a page of a list.
fn page_of<'a>(request: RequestBuilder<'a>, pages: &Pages) -> Result<RequestBuilder<'a>> {
    Ok(pages.at()?.into_iter().fold(request, |request, token| request.query("pageToken", token)))
}

/// A list that fits into one dispatch.
async fn list<T: serde::de::DeserializeOwned>(cx: &Context<Google>, path: &str) -> Result<Vec<T>> {
    let (mut items, mut pages) = (Vec::new(), Some(Pages::default()));
    while let Some(at) = pages {
        let request = page_of(cx.provider().get(path), &at)?;
        // A product that the account does not have, or that was not granted.
        let Some(page) = request.fetch::<Page<T>>().await.unless_gone()? else { break };
        items.extend(page.items.take(cx));
        pages = at.after(page.next_page_token);
    }
    Ok(items)
}

#[derive(Deserialize)]
struct ApiProfile {
    email: String,
    name: Option<String>,
    picture: Option<String>,
}

#[connector]
impl Connector for Google {
    async fn get_account_identity(&self, cx: &Context<Self>, _: &Account) -> Result<Option<Actor>> {
        let profile: ApiProfile = cx.provider().get("/oauth2/v2/userinfo").fetch().await?;
        let mut actor = mail::person(profile.name.as_deref(), &profile.email);
        actor.avatar = profile.picture;
        Ok(Some(actor))
    }

    async fn get_account_name(&self, cx: &Context<Self>, _: &Account) -> Result<Option<String>> {
        let profile: ApiProfile = cx.provider().get("/oauth2/v2/userinfo").fetch().await?;
        Ok(Some(profile.email))
    }

    async fn get_channels(&self, cx: &Context<Self>, _: &Account) -> Result<Vec<Channel>> {
        let mut channels = Vec::new();
        if cx.has_product("mail") {
            let labels: Vec<ApiLabel> = list(cx, "/gmail/v1/users/me/labels").await?;
            channels.extend(labels.into_iter().filter_map(ApiLabel::channel));
        }
        if cx.has_product("calendar") {
            let calendars: Vec<ApiCalendar> = list(cx, "/calendar/v3/users/me/calendarList").await?;
            channels.extend(calendars.into_iter().map(ApiCalendar::channel));
        }
        if cx.has_product("tasks") {
            let lists: Vec<ApiTaskList> = list(cx, "/tasks/v1/users/@me/lists").await?;
            channels.extend(lists.into_iter().map(ApiTaskList::channel));
        }
        Ok(channels)
    }

    async fn on_link_updated(&self, cx: &Context<Self>, link: &Link, changes: &LinkChanges) -> Result<()> {
        if link.is::<Event>() {
            calendar::update(cx, link, changes).await
        } else if link.is::<Task>() {
            tasks::update(cx, link, changes).await
        } else {
            Err(Error::rejected("the subject of a mail that was sent cannot be changed"))
        }
    }

    async fn on_create_link(&self, cx: &Context<Self>, draft: LinkDraft) -> Result<Option<NewLink>> {
        let created = if draft.is::<Task>() {
            tasks::create(cx, &draft).await
        } else if draft.is::<Event>() {
            calendar::create(cx, &draft).await
        } else {
            mail::compose(cx, &draft).await
        };
        created.map(Some)
    }

    async fn on_note_created(&self, cx: &Context<Self>, note: &Note, thread: &Thread) -> Result<WriteBack> {
        let link = thread.link_of(note)?;
        if link.is::<Conversation>() {
            return mail::reply(cx, note, link).await;
        }
        Ok(WriteBack::failed("Google keeps no comments of yours on events and tasks"))
    }

    async fn on_thread_read(&self, cx: &Context<Self>, thread: &Thread, _: &Actor, unread: bool) -> Result<()> {
        mail::label(cx, thread, "UNREAD", unread).await
    }

    async fn on_thread_to_do(
        &self,
        cx: &Context<Self>,
        thread: &Thread,
        _: &Actor,
        todo: bool,
        _: Option<Date>,
    ) -> Result<()> {
        mail::label(cx, thread, "STARRED", todo).await
    }

    async fn on_schedule_contact_updated(
        &self,
        cx: &Context<Self>,
        thread: &Thread,
        schedule: &Schedule,
        contact: &Contact,
        attendance: Option<Attendance>,
        _: &Actor,
    ) -> Result<()> {
        for link in thread.links.iter().filter(|link| link.is::<Event>()) {
            calendar::answer(cx, link, schedule, &contact.actor, attendance).await?;
        }
        Ok(())
    }

    async fn download_attachment(&self, cx: &Context<Self>, attachment: &Attachment, _: &Link) -> Result<Download> {
        mail::download(cx, attachment).await
    }
}

#[connector]
impl Google {
    /// The conversations with a label. Gmail pushes to Pub/Sub alone, so it is asked for what has happened.
    #[sync(every = "5m", product = "mail")]
    async fn conversations(
        &self,
        cx: &Context<Self>,
        channel: ChannelId,
        after: Option<mail::Walk>,
    ) -> Result<Step<mail::Walk>> {
        mail::walk(cx, &channel, after).await
    }

    /// The events of a calendar.
    #[sync(every = "15m", product = "calendar")]
    async fn events(
        &self,
        cx: &Context<Self>,
        channel: ChannelId,
        after: Option<calendar::Walk>,
    ) -> Result<Step<calendar::Walk>> {
        calendar::walk(cx, &channel, after.unwrap_or_default()).await
    }

    /// The tasks of a list.
    #[sync(every = "15m", product = "tasks")]
    async fn tasks(
        &self,
        cx: &Context<Self>,
        channel: ChannelId,
        after: Option<tasks::Walk>,
    ) -> Result<Step<tasks::Walk>> {
        tasks::walk(cx, &channel, after).await
    }

    /// What Google Calendar pushes: a notice without a body, which does not say what has changed.
    #[webhook(verify = state_header("X-Goog-Channel-Token"), product = "calendar")]
    async fn calendar_events(
        &self,
        cx: &Context<Self>,
        channel: ChannelId,
        #[input] request: Verified<WebhookRequest>,
    ) -> Result<()> {
        match request.header("X-Goog-Resource-State") {
            // The first notice says that there is a watch, and nothing of the calendar.
            Some("sync") => Ok(()),
            _ => cx.sync_now(Events { channel }).await,
        }
    }
}

impl Subscription for CalendarEvents {
    async fn create(&self, cx: &Context<Google>, endpoint: &Endpoint) -> Result<Registration> {
        calendar::watch(cx, &self.channel, endpoint).await
    }

    async fn delete(&self, cx: &Context<Google>, registration: &Registration) -> Result<()> {
        calendar::stop(cx, registration).await
    }
}
