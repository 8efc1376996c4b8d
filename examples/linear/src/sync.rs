//! What comes from Linear: a walk over the issues of a team, and what webhooks name.

use connector_core::prelude::*;

use crate::Linear;
use crate::api::{self, ApiEvent, ApiIssue, Detail};

/// What Linear may have indexed late is looked at again this long (L30).
const OVERLAP: SignedDuration = SignedDuration::from_mins(2);

/// A walk over issues, from the newest change back to where the last one began. What changes meanwhile moves to the
/// front, where the next walk finds it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Walk {
    /// What changed before then is known.
    since: Timestamp,
    /// The newest change that was seen.
    newest: Timestamp,
    /// After this one; none at the beginning of a walk.
    after: Option<String>,
    /// With less of it Linear cannot say what has changed: each walk is over all that there is.
    detail: Detail,
}

impl Walk {
    /// The first: as far back as the user wants.
    fn first(cx: &Context<Linear>) -> Self {
        let history = SignedDuration::from_hours(24 * i64::from(cx.options().history_days));
        let since = (cx.now() - history).max(cx.integrations().earliest().unwrap_or(Timestamp::MIN));
        Self { since, newest: since, after: None, detail: Detail::Full }
    }

    /// What comes after a page with these issues.
    fn after(self, cx: &Context<Linear>, next: Option<&str>, issues: &[ApiIssue]) -> Step<Self> {
        let newest = issues.iter().map(|issue| issue.updated_at).fold(self.newest, Timestamp::max);
        match (next, self.detail) {
            (Some(next), _) => Step::Next(Self { newest, after: Some(next.to_owned()), ..self }),
            (None, Detail::Full) => Step::Done(Self { since: newest - OVERLAP, newest, after: None, ..self }),
            // Asked for in full again, should it have been a matter of a moment.
            (None, Detail::Essential) => Step::Done(Self::first(cx)),
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
        let page = async |walk: &Walk| api::issues(cx, walk.detail, &channel, walk.since, walk.after.as_deref()).await;
        let mut found = match page(&walk).await {
            Err(error) if less(walk.detail, &error) => {
                walk = Walk { detail: Detail::Essential, after: None, ..Walk::first(cx) };
                page(&walk).await?
            }
            found => found?,
        };
        let next = found.next().map(str::to_owned);
        found.nodes.retain(|issue| issue.updated_at >= walk.since);
        let failed = save(cx, walk.detail, &mut found.nodes).await?;
        cx.mark_dirty(ChangedIssues { channel: channel.clone() }, failed).await?;
        Ok(walk.after(cx, next.as_deref(), &found.nodes))
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
        let mut found = match api::issues_by_id(cx, detail, &ids).await {
            Err(error) if less(detail, &error) => {
                detail = Detail::Essential;
                api::issues_by_id(cx, detail, &ids).await?
            }
            found => found?,
        };
        let gone = ids.iter().filter(|id| !found.iter().any(|issue| issue.id == **id)).map(|id| api::source(id));
        let mut filter = LinkFilter::sources(gone);
        filter.channel = Some(channel);
        cx.integrations().archive_links(filter).await?;
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
