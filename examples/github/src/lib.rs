//! GitHub issues and pull requests, both ways: the connector that shows what one looks like.

mod api;
mod sync;

use connector_core::prelude::*;
use serde_json::json;

use api::{
    ApiComment, ApiIssue, ApiOrganization, ApiReaction, ApiRepository, ApiSearch, ApiUser, BODY, Comments, Item,
};

/// Issues and pull requests of the repositories you choose.
#[connector(
    id = "github",
    name = "GitHub",
    provider = GitHub,
    scopes(
        required = ["repo"],
        optional(
            id = "organizations",
            label = "Organizations",
            description = "Offers all repositories of your organizations, not only those that you are a member of",
            scopes = ["read:org"],
            default = true,
        ),
        optional(
            id = "hooks",
            label = "Live updates",
            description = "Lets GitHub tell at once what has changed",
            scopes = ["admin:repo_hook"],
            default = true,
        ),
    ),
    access = ["Reads issues, pull requests and their comments", "Comments, closes, assigns and opens issues as you"],
    urls = ["https://api.github.com/*"],
    link_types = [Issue, PullRequest],
    reactions(fixed = [
        "👍" = "+1", "👎" = "-1", "😄" = "laugh", "🎉" = "hooray",
        "😕" = "confused", "❤️" = "heart", "🚀" = "rocket", "👀" = "eyes",
    ]),
    options = GitHubOptions,
    channel_noun("repository", "repositories"),
    handle_replies,
    multiple_instances,
)]
#[derive(Default)]
pub struct GitHub;

/// A GitHub issue.
#[link_type(
    label = "Issue",
    source_name = "GitHub",
    note_label = "Comment",
    compose_label = "New issue",
    reply_label = "Comment on GitHub",
    sharing = Channel,
    assignee,
    compose(status = Open),
    meta = IssueMeta,
)]
pub enum Issue {
    /// To be worked on.
    #[status(icon = Todo, todo)]
    Open,
    /// Completed, or not planned.
    #[status(icon = Done, done)]
    Closed,
}

/// A GitHub pull request.
#[link_type(
    label = "Pull request",
    source_name = "GitHub",
    note_label = "Comment",
    reply_label = "Comment on GitHub",
    sharing = Channel,
    assignee,
    meta = PullRequestMeta,
)]
pub enum PullRequest {
    /// To be reviewed.
    #[status(icon = InProgress, todo)]
    Open,
    /// Part of its base branch.
    #[status(icon = Done, done)]
    Merged,
    /// Given up.
    #[status(icon = Cancelled, done)]
    Closed,
}

/// What GitHub says of an issue beyond the common model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IssueMeta {
    /// The number in its repository.
    pub number: u64,
    /// The names of its labels.
    pub labels: Vec<String>,
    /// The title of its milestone.
    pub milestone: Option<String>,
}

/// What GitHub says of a pull request beyond the common model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PullRequestMeta {
    /// What it has as an issue, which every pull request is as well.
    #[serde(flatten)]
    pub issue: IssueMeta,
    /// Not ready for review.
    pub draft: bool,
    /// The branch with the changes.
    pub head: String,
    /// The branch that they are for.
    pub base: String,
}

/// What a user can set.
#[derive(Options)]
pub struct GitHubOptions {
    /// Also sync pull requests.
    #[option(label = "Pull requests", default = true)]
    pub pull_requests: bool,
    /// How far back the first sync goes, in days.
    #[option(label = "History", default = 365, min = 1, max = 3650)]
    pub history_days: u32,
}

#[connector]
impl Connector for GitHub {
    async fn get_account_name(&self, cx: &Context<Self>, _: &Account) -> Result<Option<String>> {
        let user: ApiUser = cx.provider().get("/user").fetch().await?;
        Ok(Some(user.login))
    }

    async fn get_account_identity(&self, cx: &Context<Self>, _: &Account) -> Result<Option<Actor>> {
        let user: ApiUser = cx.provider().get("/user").fetch().await?;
        Ok(Some(user.actor()))
    }

    async fn get_channels(&self, cx: &Context<Self>, _: &Account) -> Result<Vec<Channel>> {
        let mut repositories: Vec<ApiRepository> = api::list(cx, "/user/repos").await?;
        let organizations = match api::list(cx, "/user/orgs").await {
            // The scope for it was declined: what the account is itself a member of remains.
            Err(error) if matches!(error.kind(), ErrorKind::ScopeMissing { .. } | ErrorKind::Rejected) => Vec::new(),
            organizations => organizations?,
        };
        for ApiOrganization { login } in organizations {
            let search =
                cx.provider().get("/search/repositories").query("q", format!("org:{login}")).query("per_page", 100);
            let found = search.fetch_pages::<ApiSearch>().await?;
            repositories.extend(found.into_iter().flat_map(|page| page.items.take(cx)));
        }
        repositories.sort_unstable();
        repositories.dedup();
        Ok(repositories.into_iter().map(ApiRepository::channel).collect())
    }

    async fn on_link_updated(&self, cx: &Context<Self>, link: &Link, changes: &LinkChanges) -> Result<()> {
        let (api, item) = (cx.provider(), Item::of(link)?);
        if let Some(title) = &changes.title {
            api.patch(item.path()).json(&json!({ "title": title })).send().await?;
        }
        if link.is::<PullRequest>() && changes.status()? == Some(PullRequest::Merged) {
            api.put(item.path() + "/merge").json(&json!({})).send().await?;
        } else if let Some(state) = &changes.raw_status {
            // The ids of the statuses are GitHub's names of its states.
            api.patch(item.path()).json(&json!({ "state": state })).send().await?;
        }
        if let Some(assignee) = changes.assignee.as_option() {
            let logins = assignee.map(api::login).transpose()?;
            api.patch(item.issue_path()).json(&json!({ "assignees": Vec::from_iter(logins) })).send().await?;
        }
        Ok(())
    }

    async fn on_create_link(&self, cx: &Context<Self>, draft: LinkDraft) -> Result<Option<NewLink>> {
        let channel = draft.require_channel()?;
        let issue = json!({ "title": draft.title, "body": draft.content });
        let created: ApiIssue = cx.provider().post(format!("/repos/{channel}/issues")).json(&issue).fetch().await?;
        Ok(Some(created.link(channel, &Comments::default())))
    }

    async fn on_note_created(&self, cx: &Context<Self>, note: &Note, thread: &Thread) -> Result<WriteBack> {
        let item = Item::of(thread.link_of(note)?)?;
        let comment = json!({ "body": note.content });
        let created: ApiComment = cx.provider().post(item.issue_path() + "/comments").json(&comment).fetch().await?;
        Ok(created.write_back(created.id.to_string()))
    }

    async fn on_note_updated(&self, cx: &Context<Self>, note: &Note, thread: &Thread) -> Result<WriteBack> {
        let (item, key) = (Item::of(thread.link_of(note)?)?, note.require_key()?);
        let path = if key.as_str() == BODY { item.path() } else { item.comment_path(key) };
        let edited: ApiComment = cx.provider().patch(path).json(&json!({ "body": note.content })).fetch().await?;
        Ok(edited.write_back(key.clone()))
    }

    async fn on_note_reaction_changed(
        &self,
        cx: &Context<Self>,
        note: &Note,
        thread: &Thread,
        _: &Actor,
        emoji: &Emoji,
        added: bool,
    ) -> Result<()> {
        let Some(content) = cx.reaction_name(emoji) else {
            return Ok(());
        };
        let path = Item::of(thread.link_of(note)?)?.reactions_path(note.require_key()?);
        if added {
            return cx.provider().post(path).json(&json!({ "content": content })).send().await.map(drop);
        }
        let reactions: Vec<ApiReaction> = api::list(cx, &path).await?;
        for own in reactions.iter().filter(|reaction| reaction.content == content && reaction.is_of(cx.account())) {
            cx.provider().delete(format!("{path}/{}", own.id)).send().await.unless_gone()?;
        }
        Ok(())
    }
}
