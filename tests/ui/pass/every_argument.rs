//! Every argument of every attribute, once.

use connector_core::declaration::CustomProvider;
use connector_core::prelude::*;

const LABEL: &str = "Combined";

/// A provider that is a constant.
pub const ACME: CustomProvider = CustomProvider {
    id: "acme",
    authorize_url: "https://acme.example/authorize",
    token_url: "https://acme.example/token",
    revoke_url: None,
    issuer: None,
    api_url: "https://acme.example/api",
};

/// Calendar and mail.
///
/// Both at once.
#[connector(
    id = "combined",
    name = LABEL,
    logo = "https://acme.example/logo.svg",
    provider = ACME,
    scopes(
        required("openid"),
        optional(id = "calendar", label = "Calendar", description = "Your calendars", scopes = ["calendar"]),
        optional(id = "mail", label = "Mail", scopes("mail", "mail.send"), default = true),
    ),
    shared = true,
    fixed_channels = false,
    auto_enable_new_channels,
    hidden_channels = false,
    channel_noun("folder", "folders"),
    link_types = [Mail, Event],
    dynamic_link_types,
    reactions(subset = ["👍", "👎"]),
    handle_replies = true,
    multiple_instances,
    products(
        calendar(label = "Calendar", scope_group = "calendar"),
        mail(label = "Mail", scope_group = "mail"),
    ),
    access = ["Reads your mail", "Sends mail as you"],
    urls = ["https://*.acme.example/*", "http://localhost:8080/api/*"],
    options = CombinedOptions,
    version = "2",
)]
#[derive(Default)]
pub struct Combined;

/// A message.
#[link_type(
    id = "mail",
    label = "Mail",
    source_name = "Acme",
    note_label = "Message",
    compose_label = "New mail",
    reply_label = "Reply",
    logos(light = "https://acme.example/l.svg", dark = "https://acme.example/d.svg", mono = "https://acme.example/m.svg"),
    sharing = Message,
    schedules = false,
    contact_roles(to(label = "To", default), cc(label = "Cc"), bcc),
    supports(contact_changes, links, attachments, forwarding, schedule_changes),
    compose(target = addresses, todo),
    reactions(fixed = ["👍" = "like"]),
)]
#[derive(Hash)]
pub struct Mail;

#[link_type(schedules, sharing = None)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    #[status(icon = Tentative, active)]
    Tentative,
    #[status(id = "definite", label = LABEL, icon = Confirmed)]
    Confirmed,
    #[status(icon = Cancelled, done, hidden)]
    CalledOff,
}

#[derive(Options)]
pub struct CombinedOptions {
    /// How much is fetched.
    #[option(label = "Window", default = Week)]
    pub window: Window,
    #[option(default = "day")]
    pub step: Window,
    pub longest: Option<Window>,
    #[option(required, placeholder = "Name", help = "As in your profile", help_url = "https://acme.example/name")]
    pub name: String,
    #[option(secure, placeholder = "key-…")]
    pub key: Secret,
    pub other_key: Option<Secret>,
    #[option(default = -1.5, min = -2, max = 2.5)]
    pub bias: f64,
    #[option(min = 1)]
    pub limit: Option<i64>,
    pub live: bool,
    pub r#type: Option<String>,
}

#[derive(Choices, Debug, PartialEq)]
pub enum Window {
    Day,
    #[choice(id = "seven-days", label = "A week")]
    Week,
}

#[connector]
impl Connector for Combined {
    async fn on_create_link(&self, _: &Context<Self>, _: LinkDraft) -> Result<Option<NewLink>> {
        Ok(None)
    }

    async fn on_note_created(&self, _: &Context<Self>, _: &Note, _: &Thread) -> Result<WriteBack> {
        Ok(WriteBack::accepted())
    }

    async fn on_link_updated(&self, _: &Context<Self>, _: &Link, _: &LinkChanges) -> Result<()> {
        Ok(())
    }

    async fn on_contacts_changed(&self, _: &Context<Self>, _: &Thread, _: &ContactChanges) -> Result<()> {
        Ok(())
    }

    async fn on_note_reaction_changed(
        &self,
        _: &Context<Self>,
        _: &Note,
        _: &Thread,
        _: &Actor,
        _: &Emoji,
        _: bool,
    ) -> Result<()> {
        Ok(())
    }
}

#[connector]
impl Combined {
    /// Takes a page.
    #[callback(name = "pages", alias = "page", alias = "old_page")]
    async fn take_page(
        &self,
        cx: &Context<Self>,
        folder: String,
        #[default] page: u32,
        #[default(50)] size: u32,
        #[input] extra: Option<String>,
    ) -> Result<u32> {
        self.helper();
        let _token: Callback<Option<String>, u32> = cx.callback(TakePage { folder, page, size }).await?;
        Ok(extra.map_or(0, |_| 1))
    }

    #[sync(every = "500ms", alias = "all")]
    async fn everything(&self, _: &Context<Self>, _after: Option<u64>) -> Result<Step<u64>> {
        Ok(Step::Done(1))
    }

    #[sync(every = "5m", product = "mail")]
    async fn mails(&self, cx: &Context<Self>, channel: ChannelId, _after: Option<u64>) -> Result<Step<u64>> {
        cx.sync_now(Mails { channel }).await?;
        Ok(Step::Done(1))
    }

    #[webhook(verify = state_header("X-Goog-Channel-Token"), product = "mail")]
    async fn notices(
        &self,
        _: &Context<Self>,
        channel: ChannelId,
        #[input] _request: Verified<WebhookRequest>,
    ) -> Result<()> {
        drop(channel);
        Ok(())
    }

    #[drain(batch = 5, delay = "2s", max_attempts = 3, name = "changed")]
    async fn changes(&self, _: &Context<Self>, ids: Vec<String>) -> Result<Drained<String>> {
        Ok(Drained::retry(ids))
    }

    #[every("24h")]
    async fn tidy(&self, _: &Context<Self>) -> Result<()> {
        Ok(())
    }

    #[webhook(verify = state_field("/clientState"), handshake = echo_query("validationToken"))]
    async fn pushes(&self, _: &Context<Self>, #[input] _request: Verified<WebhookRequest>) -> Result<()> {
        Ok(())
    }

    #[webhook(verify = none("the body is only a hint to look"), handshake = echo_header("X-Hook-Secret"))]
    async fn hints(&self, _: &Context<Self>, #[input] _request: Verified<WebhookRequest>) -> Result<()> {
        Ok(())
    }

    fn helper(&self) {}
}

impl Subscription for Pushes {
    async fn create(&self, _: &Context<Combined>, _: &Endpoint) -> Result<Registration> {
        Ok(Registration::new("1"))
    }

    async fn delete(&self, _: &Context<Combined>, _: &Registration) -> Result<()> {
        Ok(())
    }
}

impl Subscription for Notices {
    async fn create(&self, _: &Context<Combined>, _: &Endpoint) -> Result<Registration> {
        Ok(Registration::new("3"))
    }

    async fn delete(&self, _: &Context<Combined>, _: &Registration) -> Result<()> {
        Ok(())
    }
}

impl Subscription for Hints {
    async fn create(&self, _: &Context<Combined>, _: &Endpoint) -> Result<Registration> {
        Ok(Registration::new("2"))
    }

    async fn delete(&self, _: &Context<Combined>, _: &Registration) -> Result<()> {
        Ok(())
    }
}

/// A key in place of OAuth.
#[connector(key_option = key, options = CombinedOptions, single_channel, tools = [super::tools::People])]
#[derive(Default)]
pub struct Keyed;

#[connector]
impl Connector for Keyed {}
