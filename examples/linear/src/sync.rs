//! What comes from Linear: a walk over the issues of a team, and what webhooks name.

use connector_core::prelude::*;
use connector_core::walk::Pages;

use crate::Linear;
use crate::api::{self, ApiEvent, ApiIssue, Detail};

/// A walk over issues.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Walk {
    since: Since,
    pages: Pages,
    /// The walk is over everything that changed from then on. `None` means that it is over what changed since the last
    /// one, from the newest change back; what changes meanwhile moves to the front, where the next walk finds it.
    all: Option<Timestamp>,
    /// With less of it Linear cannot say what has changed: each walk is over all that there is.
    detail: Detail,
}

impl Walk {
    /// The first: as far back as the user wants.
    fn first(cx: &Context<Linear>) -> Self {
        let start = cx.integrations().history(cx.options().history_days);
        Self { since: Since::new(start), pages: Pages::default(), all: Some(start), detail: Detail::Full }
    }

    /// What comes after a page.
    fn after(self, cx: &Context<Linear>, next: Option<&str>) -> Step<Self> {
        if let Some(pages) = self.pages.after(next) {
            return Step::Next(Self { pages, ..self });
        }
        let next = match self.detail {
            Detail::Full => {
                Self { since: self.since.ended(), pages: Pages::default(), all: None, detail: Detail::Full }
            }
            // Asked for in full again, should it have been a matter of a moment.
            Detail::Essential => Self::first(cx),
        };
        match self.all {
            Some(start) => Step::Complete(LinkFilter::default().changed_from(start), next),
            None => Step::Done(next),
        }
    }
}

/// What Linear refuses as not of its schema is asked for again without what is not essential.
fn less(detail: Detail, error: &Error) -> bool {
    let less = detail == Detail::Full && *error.kind() == ErrorKind::Bug;
    if less {
        tracing::warn!(%error, "Linear does not know all that it was asked for: only the essential is synced");
    }
    less
}

/// Saves issues with all of their comments, and gives the ids of those that could not be.
async fn save(cx: &Context<Linear>, detail: Detail, issues: &mut [ApiIssue]) -> Result<Vec<String>> {
    for issue in issues.iter_mut() {
        api::more_comments(cx, detail, issue).await?;
    }
    let (gone, there): (Vec<&ApiIssue>, Vec<_>) = issues.iter().partition(|issue| issue.is_gone());
    let report = cx.integrations().save_links(there.iter().map(|issue| issue.link())).await?;
    if !gone.is_empty() {
        cx.integrations().archive_links(LinkFilter::sources(gone.iter().map(|issue| issue.source()))).await?;
    }
    if report.failed.is_empty() {
        return Ok(Vec::new());
    }
    // In a state, or of a team, that was not there when the teams were listed.
    cx.integrations().set_channels(api::teams(cx).await?).await?;
    let failed = |issue: &&&ApiIssue| report.failed.iter().any(|item| item.source_text == issue.source().as_str());
    Ok(there.iter().filter(failed).map(|issue| issue.id.clone()).collect())
}

#[connector]
impl Linear {
    /// The issues of a team.
    #[sync(every = "15m")]
    async fn issues(&self, cx: &Context<Self>, channel: ChannelId, after: Option<Walk>) -> Result<Step<Walk>> {
        let mut walk = after.unwrap_or_else(|| Walk::first(cx));
        let now = cx.now();
        let page = async |walk: &Walk| {
            let extent = (walk.detail, walk.all.is_some());
            api::issues(cx, extent, &channel, walk.since.start(now), walk.pages.at()?).await
        };
        let found = match page(&walk).await {
            Err(error) if less(walk.detail, &error) => {
                walk = Walk { detail: Detail::Essential, ..Walk::first(cx) };
                page(&walk).await?
            }
            found => found?,
        };
        let next = found.next().map(str::to_owned);
        let mut issues = found.nodes.take(cx);
        cx.integrations().met(issues.iter().filter(|issue| !issue.is_gone()).map(ApiIssue::source)).await?;
        issues.retain(|issue| walk.since.is_new(now, issue.updated_at, &issue.id));
        let failed = save(cx, walk.detail, &mut issues).await?;
        cx.mark_dirty(ChangedIssues { channel: channel.clone() }, failed).await?;
        Ok(walk.after(cx, next.as_deref()))
    }

    /// What a webhook named.
    #[drain(batch = 20, delay = "2s")]
    async fn changed_issues(
        &self,
        cx: &Context<Self>,
        channel: ChannelId,
        ids: Vec<String>,
    ) -> Result<Drained<String>> {
        let mut detail = Detail::Full;
        let found = match api::issues_by_id(cx, detail, &ids).await {
            Err(error) if less(detail, &error) => {
                detail = Detail::Essential;
                api::issues_by_id(cx, detail, &ids).await?
            }
            found => found?,
        };
        let is_whole = found.is_whole();
        let mut found = found.take(cx);
        if is_whole {
            let gone = ids.iter().filter(|id| !found.iter().any(|issue| issue.id == **id)).map(|id| api::source(id));
            let mut filter = LinkFilter::sources(gone);
            filter.channel = Some(channel);
            cx.integrations().archive_links(filter).await?;
        }
        Ok(Drained::retry(save(cx, detail, &mut found).await?))
    }

    /// What Linear pushes.
    #[webhook(verify = hmac_sha256(header = "Linear-Signature"), delivery_id = "Linear-Delivery")]
    async fn team_events(
        &self,
        cx: &Context<Self>,
        channel: ChannelId,
        #[input] request: Verified<WebhookRequest>,
    ) -> Result<()> {
        let event: ApiEvent = request.json()?;
        match event.gone() {
            Some(source) => cx.integrations().archive_links(LinkFilter::sources([source])).await,
            None => cx.mark_dirty(ChangedIssues { channel }, event.issue()).await,
        }
    }
}

impl Subscription for TeamEvents {
    async fn create(&self, cx: &Context<Linear>, endpoint: &Endpoint) -> Result<Registration> {
        api::create_webhook(cx, &self.channel, endpoint).await.map(Registration::new)
    }

    async fn delete(&self, cx: &Context<Linear>, registration: &Registration) -> Result<()> {
        api::delete_webhook(cx, &registration.id).await
    }

    async fn list(&self, cx: &Context<Linear>) -> Result<Option<Vec<Registration>>> {
        api::webhooks(cx, &self.channel).await.map(Some)
    }
}
