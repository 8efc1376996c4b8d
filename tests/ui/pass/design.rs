//! The example of the design document: what an author writes, and nothing more.

use connector_core::prelude::*;

/// Issues and pull requests of the repositories you choose.
#[connector(
    id = "github",
    name = "GitHub",
    provider = GitHub,
    scopes(
        required = ["repo"],
        optional(id = "hooks", label = "Live updates", scopes = ["admin:repo_hook"], default = true),
    ),
    urls = ["https://api.github.com/*"],
    link_types = [Issue],
    options = GitHubOptions,
    channel_noun("repository", "repositories"),
    handle_replies,
)]
#[derive(Default)]
pub struct GitHub;

/// A GitHub issue.
#[link_type(
    label = "Issue",
    note_label = "Comment",
    sharing = Channel,
    assignee,
    compose(status = Open),
    meta = IssueMeta,
)]
pub enum Issue {
    #[status(label = "Open", icon = Todo, todo)]
    Open,
    #[status(label = "Closed", icon = Done, done)]
    Closed,
}

#[derive(Serialize, Deserialize)]
pub struct IssueMeta {
    pub number: u64,
}

#[derive(Options)]
pub struct GitHubOptions {
    /// Also sync pull requests.
    #[option(label = "Pull requests", default = true)]
    pub pull_requests: bool,
    /// How far back the first sync goes, in days.
    #[option(label = "History", default = 90, min = 1, max = 3650)]
    pub history_days: u32,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct IssueCursor {
    since: Option<Timestamp>,
    page: u32,
}

#[derive(Deserialize)]
struct IssueEvent {
    number: u64,
}

#[connector]
impl Connector for GitHub {
    async fn get_channels(&self, cx: &Context<Self>, _: &Account) -> Result<Vec<Channel>> {
        assert!(cx.options().history_days > 0);
        Ok(Vec::new())
    }

    async fn on_channel_enabled(&self, cx: &Context<Self>, channel: Channel, _: SyncContext) -> Result<()> {
        cx.run_task(SyncPage { channel: channel.id, page: 1 }).await?;
        Ok(())
    }

    async fn on_note_created(&self, _: &Context<Self>, _: &Note, _: &Thread) -> Result<WriteBack> {
        Ok(WriteBack::accepted())
    }

    async fn on_link_updated(&self, _: &Context<Self>, link: &Link, _: &LinkChanges) -> Result<()> {
        let IssueMeta { number } = link.meta::<Issue>()?;
        assert!(number > 0);
        Ok(())
    }

    async fn on_create_link(&self, cx: &Context<Self>, _: LinkDraft) -> Result<Option<NewLink>> {
        Ok(Some(link(&ChannelId::new("1"), 1, cx.now())))
    }
}

fn link(channel: &ChannelId, number: u64, at: Timestamp) -> NewLink {
    let source = Source::new("github", [channel.as_str(), "issue", &number.to_string()]);
    NewLink::new(Issue::Open.with(IssueMeta { number }), source, channel, Author::system("a test"), at)
}

#[connector]
impl GitHub {
    /// The issues of one repository, oldest change first.
    #[sync(every = "15m")]
    async fn issues(
        &self,
        cx: &Context<Self>,
        channel: ChannelId,
        after: Option<IssueCursor>,
    ) -> Result<Step<IssueCursor>> {
        cx.integrations().save_links([link(&channel, 1, cx.now())]).await?;
        let page = after.map_or(1, |cursor| cursor.page);
        Ok(Step::Done(IssueCursor { since: Some(cx.now()), page }))
    }

    /// The issues that a webhook named.
    #[drain(batch = 20)]
    async fn changed_issues(&self, cx: &Context<Self>, channel: ChannelId, numbers: Vec<u64>) -> Result<Drained<u64>> {
        cx.integrations().save_links(numbers.iter().map(|number| link(&channel, *number, cx.now()))).await?;
        Ok(Drained::all())
    }

    #[webhook(
        verify = hmac_sha256(header = "X-Hub-Signature-256", prefix = "sha256="),
        delivery_id = "X-GitHub-Delivery",
    )]
    async fn repository_events(
        &self,
        cx: &Context<Self>,
        channel: ChannelId,
        #[input] request: Verified<WebhookRequest>,
    ) -> Result<()> {
        let event: IssueEvent = request.json()?;
        cx.mark_dirty(ChangedIssues { channel }, [event.number]).await
    }

    #[callback]
    async fn sync_page(&self, cx: &Context<Self>, channel: ChannelId, page: u32) -> Result<()> {
        cx.run_task(SyncPage { channel, page: page + 1 }).await?;
        Ok(())
    }
}

impl Subscription for RepositoryEvents {
    async fn create(&self, _: &Context<GitHub>, _: &Endpoint) -> Result<Registration> {
        Ok(Registration::new(self.channel.as_str()))
    }

    async fn delete(&self, _: &Context<GitHub>, _: &Registration) -> Result<()> {
        Ok(())
    }
}
