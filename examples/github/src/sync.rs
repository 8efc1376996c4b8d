//! What comes from GitHub: walks over the lists of a repository, and what webhooks name.

use connector_core::network::Response;
use connector_core::prelude::*;
use connector_core::walk::{Items, Pages};
use serde_json::json;

use crate::api::{self, ApiEvent, ApiHook, ApiIssue, ApiReaction, Comments, Item};
use crate::{GitHub, Issue, PullRequest};

/// Issues that a step of a walk takes; the comments of each are a request of their own.
const PAGE: usize = 50;

/// A walk over a list, from the newest change back to where the last one began.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Walk {
    since: Since,
    pages: Pages,
    /// The walk is over everything that changed from then on. `None` means that it is over what changed since the last
    /// one.
    all: Option<Timestamp>,
}

impl Walk {
    /// The first: as far back as the user wants.
    fn first(cx: &Context<GitHub>) -> Self {
        let start = cx.integrations().history(cx.options().history_days);
        Self { since: Since::new(start), pages: Pages::default(), all: Some(start) }
    }

    /// What comes after a page, of a list that holds nothing but links of this type.
    fn after<T: LinkType>(self, now: Timestamp, page: &Response, leaves: bool) -> Step<Self> {
        let Self { since, pages, all } = self;
        if let Some(next) = pages.after_link(page).filter(|_| !leaves) {
            return Step::Next(Self { since, pages: next, all });
        }
        let is_one_page = pages == Pages::default();
        let before = since.start(now);
        let since = since.ended();
        // Where the times of all items lie in the future, another pass would be the same one.
        let is_last = is_one_page || since.start(now) <= before;
        match all {
            None => Step::Done(Self { since, pages: Pages::default(), all }),
            Some(start) if is_last => {
                let all = LinkFilter::default().of::<T>().changed_from(start);
                Step::Complete(all, Self { since, pages: Pages::default(), all: None })
            }
            // What has changed meanwhile went to the front, where the walk had been already.
            Some(_) => Step::Next(Self { since, pages: Pages::default(), all }),
        }
    }
}

/// One step of a walk over `issues` or `pulls`.
async fn walk<T: LinkType>(
    cx: &Context<GitHub>,
    channel: &ChannelId,
    list: &str,
    after: Option<Walk>,
) -> Result<Step<Walk>> {
    let mut walk = after.unwrap_or_else(|| Walk::first(cx));
    let (now, start) = (cx.now(), walk.since.start(cx.now()));
    let request = match walk.pages.at()? {
        Some(url) => cx.provider().get(url),
        None => cx
            .provider()
            .get(format!("/repos/{channel}/{list}"))
            .query("state", "all")
            .query("sort", "updated")
            .query("direction", "desc")
            .query("since", start.strftime("%Y-%m-%dT%H:%M:%SZ"))
            .query("per_page", PAGE),
    };
    let page = request.send().await?;
    let mut issues = page.json::<Items<ApiIssue>>()?.take(cx);
    let leaves = issues.iter().any(|issue| walk.since.is_past(now, issue.updated_at));
    // GitHub lists pull requests among the issues as well, with less of what they are.
    issues.retain(|issue| !(list == "issues" && issue.is_pull_request()));
    cx.integrations().met(issues.iter().map(ApiIssue::source)).await?;
    issues.retain(|issue| walk.since.is_new(now, issue.updated_at, issue.number.to_string()));
    save(cx, channel, &issues).await?;
    Ok(walk.after::<T>(now, &page, leaves))
}

/// Saves issues and pull requests with all of their comments.
async fn save(cx: &Context<GitHub>, channel: &ChannelId, issues: &[ApiIssue]) -> Result<()> {
    let (mut links, mut reacted) = (Vec::with_capacity(issues.len()), Vec::new());
    for issue in issues {
        let comments = Comments::of(cx, channel, issue).await?;
        reacted.extend(issue.reacted(&comments));
        links.push(issue.link(channel, &comments));
    }
    cx.integrations().save_links(links).await?;
    cx.mark_dirty(Reactions { channel: channel.clone() }, reacted).await
}

/// A note that someone reacted to.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Reacted {
    pub(crate) link: Source,
    pub(crate) number: u64,
    pub(crate) key: NoteKey,
}

#[connector]
impl GitHub {
    /// The issues of a repository.
    #[sync(every = "15m")]
    async fn issues(&self, cx: &Context<Self>, channel: ChannelId, after: Option<Walk>) -> Result<Step<Walk>> {
        walk::<Issue>(cx, &channel, "issues", after).await
    }

    /// The pull requests of a repository.
    #[sync(every = "15m")]
    async fn pull_requests(&self, cx: &Context<Self>, channel: ChannelId, after: Option<Walk>) -> Result<Step<Walk>> {
        if !cx.options().pull_requests {
            return Ok(Step::Done(after.unwrap_or_else(|| Walk::first(cx))));
        }
        walk::<PullRequest>(cx, &channel, "pulls", after).await
    }

    /// What a webhook named.
    #[drain(batch = 20, delay = "500ms")]
    async fn changed_items(&self, cx: &Context<Self>, channel: ChannelId, items: Vec<Item>) -> Result<Drained<Item>> {
        for item in items {
            let found = cx.provider().get(item.path()).fetch::<ApiIssue>().await.unless_gone();
            if let Some(issue) = cx.integrations().unless_odd(item.path(), found)?.flatten() {
                save(cx, &channel, &[issue]).await?;
            }
        }
        Ok(Drained::all())
    }

    /// Who reacted; apart from the rest, as each note takes a request of its own.
    #[drain(batch = 50, delay = "2s")]
    async fn reactions(&self, cx: &Context<Self>, channel: ChannelId, notes: Vec<Reacted>) -> Result<Drained<Reacted>> {
        for Reacted { link, number, key } in notes {
            let list = api::list(cx, Item::issue(&channel, number).reactions_path(&key)).await;
            let found: Vec<ApiReaction> = list.unless_gone()?.unwrap_or_default();
            let reactions = found.iter().filter_map(|reaction| reaction.reaction(cx));
            cx.integrations().set_note_reactions(NoteRef::new(link, key), reactions).await?;
        }
        Ok(Drained::all())
    }

    /// What GitHub pushes.
    #[webhook(
        verify = hmac_sha256(header = "X-Hub-Signature-256", prefix = "sha256="),
        delivery_id = "X-GitHub-Delivery",
        // The largest that GitHub sends: <https://docs.github.com/en/webhooks/webhook-events-and-payloads>.
        max_body = 26_214_400,
    )]
    async fn repository_events(
        &self,
        cx: &Context<Self>,
        channel: ChannelId,
        #[input] request: Verified<WebhookRequest>,
    ) -> Result<()> {
        let event: ApiEvent = request.json()?;
        match event.gone() {
            Some(source) => cx.integrations().archive_links(LinkFilter::sources([source])).await,
            None => cx.mark_dirty(ChangedItems { channel: channel.clone() }, event.item(&channel)).await,
        }
    }
}

impl Subscription for RepositoryEvents {
    async fn create(&self, cx: &Context<GitHub>, endpoint: &Endpoint) -> Result<Registration> {
        let hook = json!({
            "name": "web",
            "events": ["issues", "issue_comment", "pull_request"],
            "config": {
                "url": endpoint.url,
                "content_type": "json",
                "secret": endpoint.secret.as_ref().map(Secret::expose),
            },
        });
        let hook: ApiHook = cx.provider().post(format!("/repos/{}/hooks", self.channel)).json(&hook).fetch().await?;
        Ok(hook.registration())
    }

    async fn delete(&self, cx: &Context<GitHub>, registration: &Registration) -> Result<()> {
        let path = format!("/repos/{}/hooks/{}", self.channel, registration.id);
        cx.provider().delete(path).send().await.unless_gone().map(drop)
    }

    async fn list(&self, cx: &Context<GitHub>) -> Result<Option<Vec<Registration>>> {
        let hooks: Vec<ApiHook> = api::list(cx, format!("/repos/{}/hooks", self.channel)).await?;
        Ok(Some(hooks.into_iter().map(ApiHook::registration).collect()))
    }
}
