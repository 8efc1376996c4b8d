//! What GitHub's REST API gives, and what it is in the common model.

use connector_core::prelude::*;
use connector_core::walk::Items;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::sync::Reacted;
use crate::{GitHub, Issue, IssueMeta, PullRequest, PullRequestMeta};

/// The key of the note that holds the text of an issue itself.
pub(crate) const BODY: &str = "body";

/// All of a list that fits into one dispatch.
pub(crate) async fn list<T: DeserializeOwned>(cx: &Context<GitHub>, path: impl AsRef<str>) -> Result<Vec<T>> {
    Ok(whole_list(cx, path).await?.0)
}

/// The same, and whether all of its items could be read.
async fn whole_list<T: DeserializeOwned>(cx: &Context<GitHub>, path: impl AsRef<str>) -> Result<(Vec<T>, bool)> {
    let pages: Vec<Items<T>> = cx.provider().get(path).query("per_page", 100).fetch_pages().await?;
    let is_whole = pages.iter().all(Items::is_whole);
    Ok((pages.into_iter().flat_map(|page| page.take(cx)).collect(), is_whole))
}

/// The comments on an issue or a pull request.
#[derive(Default)]
pub(crate) struct Comments {
    all: Vec<ApiComment>,
    /// One of them could not be read: those that are known stay.
    odd: bool,
}

impl Comments {
    pub(crate) async fn of(cx: &Context<GitHub>, channel: &ChannelId, issue: &ApiIssue) -> Result<Self> {
        if !issue.has_comments() {
            return Ok(Self::default());
        }
        let (all, is_whole) = whole_list(cx, issue.item(channel).issue_path() + "/comments").await?;
        Ok(Self { all, odd: !is_whole })
    }
}

/// Where an issue or a pull request is. A channel is `owner/name`: GitHub redirects the old name of a
/// repository that was renamed, and what is saved is known by ids that stay.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Item {
    channel: ChannelId,
    number: u64,
    pull: bool,
}

impl Item {
    pub(crate) fn issue(channel: &ChannelId, number: u64) -> Self {
        Self { channel: channel.clone(), number, pull: false }
    }

    pub(crate) fn of(link: &Link) -> Result<Self> {
        let pull = link.is::<PullRequest>();
        let meta = if pull { link.meta::<PullRequest>()?.issue } else { link.meta::<Issue>()? };
        Ok(Self { channel: link.channel.clone(), number: meta.number, pull })
    }

    /// As what it is.
    pub(crate) fn path(&self) -> String {
        if self.pull { format!("/repos/{}/pulls/{}", self.channel, self.number) } else { self.issue_path() }
    }

    /// As an issue, which every pull request is as well: for comments, assignees and reactions.
    pub(crate) fn issue_path(&self) -> String {
        format!("/repos/{}/issues/{}", self.channel, self.number)
    }

    pub(crate) fn comment_path(&self, key: &NoteKey) -> String {
        format!("/repos/{}/issues/comments/{key}", self.channel)
    }

    pub(crate) fn reactions_path(&self, key: &NoteKey) -> String {
        let path = if key.as_str() == BODY { self.issue_path() } else { self.comment_path(key) };
        path + "/reactions"
    }
}

#[derive(Deserialize)]
pub(crate) struct ApiUser {
    id: u64,
    pub(crate) login: String,
    name: Option<String>,
    email: Option<String>,
    avatar_url: Option<String>,
    #[serde(rename = "type")]
    kind: String,
}

impl ApiUser {
    pub(crate) fn actor(&self) -> Actor {
        let mut actor =
            Actor::new(self.id.to_string()).handle(&self.login).name(self.name.as_ref().unwrap_or(&self.login));
        actor.email.clone_from(&self.email);
        actor.avatar.clone_from(&self.avatar_url);
        actor.bot = self.kind == "Bot";
        actor
    }

    fn author(user: Option<&Self>) -> Author {
        user.map_or_else(|| Author::system("the account was deleted"), |user| user.actor().into())
    }
}

/// What GitHub calls an actor that a user chose.
pub(crate) fn login(actor: &Actor) -> Result<&str> {
    actor.handle.as_deref().ok_or_else(|| Error::rejected("choose someone whose GitHub login is known"))
}

#[derive(Deserialize)]
pub(crate) struct ApiOrganization {
    pub(crate) login: String,
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) struct ApiRepository {
    pub(crate) full_name: String,
    description: Option<String>,
}

impl ApiRepository {
    pub(crate) fn channel(self) -> Channel {
        let mut channel = Channel::new(self.full_name.as_str(), self.full_name.as_str());
        channel.description = self.description.filter(|description| !description.is_empty());
        channel
    }
}

#[derive(Deserialize)]
pub(crate) struct ApiSearch {
    pub(crate) items: Items<ApiRepository>,
}

/// An issue or a pull request.
#[derive(Deserialize)]
pub(crate) struct ApiIssue {
    id: u64,
    pub(crate) number: u64,
    title: String,
    state: ApiState,
    html_url: String,
    body: Option<String>,
    user: Option<ApiUser>,
    assignee: Option<ApiUser>,
    labels: Vec<ApiLabel>,
    milestone: Option<ApiMilestone>,
    created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    /// How many; not in lists of pull requests.
    comments: Option<u64>,
    reactions: Option<ApiReactions>,
    /// It is a pull request, though listed among the issues.
    pull_request: Option<IgnoredAny>,
    #[serde(flatten)]
    pull: Option<ApiPull>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ApiState {
    Open,
    Closed,
}

#[derive(Deserialize)]
struct ApiPull {
    head: ApiBranch,
    base: ApiBranch,
    draft: bool,
    merged_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct ApiBranch {
    label: String,
}

/// A label. GitHub's description of its API allows the name alone
/// (<https://docs.github.com/en/rest/issues/issues>).
#[derive(Deserialize)]
#[serde(untagged)]
enum ApiLabel {
    Whole { name: Option<String> },
    Name(String),
}

impl ApiLabel {
    fn name(&self) -> Option<String> {
        match self {
            Self::Whole { name } => name.clone(),
            Self::Name(name) => Some(name.clone()),
        }
    }
}

#[derive(Deserialize)]
struct ApiMilestone {
    title: String,
}

impl ApiIssue {
    pub(crate) fn is_pull_request(&self) -> bool {
        self.pull_request.is_some() || self.pull.is_some()
    }

    fn has_comments(&self) -> bool {
        self.pull.is_some() || self.comments != Some(0)
    }

    pub(crate) fn item(&self, channel: &ChannelId) -> Item {
        Item { channel: channel.clone(), number: self.number, pull: self.pull.is_some() }
    }

    pub(crate) fn source(&self) -> Source {
        source(self.pull.is_some(), self.id)
    }

    /// The item with its text and its comments.
    pub(crate) fn link(&self, channel: &ChannelId, comments: &Comments) -> NewLink {
        let (source, author) = (self.source(), ApiUser::author(self.user.as_ref()));
        let meta = IssueMeta {
            number: self.number,
            labels: self.labels.iter().filter_map(ApiLabel::name).collect(),
            milestone: self.milestone.as_ref().map(|milestone| milestone.title.clone()),
        };
        let body = self.body.as_deref().filter(|body| !body.is_empty()).map(|body| {
            let note = NewNote::new(source.clone(), BODY, author.clone(), self.created_at, Content::markdown(body));
            with_reactions(note.url(&self.html_url), self.reactions.as_ref())
        });
        let notes: Vec<_> =
            body.into_iter().chain(comments.all.iter().map(|comment| comment.note(source.clone()))).collect();
        let link = match &self.pull {
            None => NewLink::new(self.issue_status().with(meta), source, channel, author, self.created_at),
            Some(pull) => {
                let meta = PullRequestMeta {
                    issue: meta,
                    draft: pull.draft,
                    head: pull.head.label.clone(),
                    base: pull.base.label.clone(),
                };
                NewLink::new(pull.status(self.state).with(meta), source, channel, author, self.created_at)
            }
        };
        let link = link
            .title(&self.title)
            .url(&self.html_url)
            .assignee(self.assignee.as_ref().map(ApiUser::actor))
            .updated_at(self.updated_at);
        if comments.odd { link.notes(notes) } else { link.all_notes(notes) }
    }

    fn issue_status(&self) -> Issue {
        match self.state {
            ApiState::Open => Issue::Open,
            ApiState::Closed => Issue::Closed,
        }
    }

    /// The notes of it that have reactions.
    pub(crate) fn reacted(&self, comments: &Comments) -> Vec<Reacted> {
        let body = (NoteKey::from_static(BODY), self.reactions.as_ref());
        let comments = comments.all.iter().map(|comment| (comment.key(), comment.reactions.as_ref()));
        std::iter::once(body)
            .chain(comments)
            .filter(|(_, reactions)| reactions.is_some_and(|reactions| reactions.total_count > 0))
            .map(|(key, _)| Reacted { link: self.source(), number: self.number, key })
            .collect()
    }
}

impl ApiPull {
    fn status(&self, state: ApiState) -> PullRequest {
        match state {
            _ if self.merged_at.is_some() => PullRequest::Merged,
            ApiState::Open => PullRequest::Open,
            ApiState::Closed => PullRequest::Closed,
        }
    }
}

/// Ids of pull requests and of issues are counted apart.
fn source(pull: bool, id: u64) -> Source {
    Source::new("github", [if pull { "pull" } else { "issue" }, &id.to_string()])
}

/// A comment; an issue, which has all of this as well, is one too where its text is edited.
#[derive(Deserialize)]
pub(crate) struct ApiComment {
    pub(crate) id: u64,
    body: Option<String>,
    html_url: String,
    user: Option<ApiUser>,
    created_at: Timestamp,
    updated_at: Timestamp,
    reactions: Option<ApiReactions>,
}

impl ApiComment {
    fn key(&self) -> NoteKey {
        NoteKey::new(self.id.to_string())
    }

    fn content(&self) -> Content {
        Content::markdown(self.body.as_deref().unwrap_or_default())
    }

    fn note(&self, link: Source) -> NewNote {
        let author = ApiUser::author(self.user.as_ref());
        let note = NewNote::new(link, self.key(), author, self.created_at, self.content());
        with_reactions(note.url(&self.html_url).updated_at(self.updated_at), self.reactions.as_ref())
    }

    pub(crate) fn write_back(&self, key: impl Into<NoteKey>) -> WriteBack {
        let result = WriteBack::delivered(key).stored(self.content()).url(&self.html_url);
        match &self.user {
            Some(user) => result.author(user.actor()),
            None => result,
        }
    }
}

/// GitHub says with each text how many reacted to it, not who.
#[derive(Deserialize)]
struct ApiReactions {
    total_count: u64,
}

fn with_reactions(note: NewNote, reactions: Option<&ApiReactions>) -> NewNote {
    match reactions {
        Some(ApiReactions { total_count: 0 }) => note.reactions([]),
        _ => note,
    }
}

#[derive(Deserialize)]
pub(crate) struct ApiReaction {
    pub(crate) id: u64,
    pub(crate) content: String,
    user: Option<ApiUser>,
}

impl ApiReaction {
    pub(crate) fn is_of(&self, account: &Account) -> bool {
        self.user.as_ref().is_some_and(|user| account.id.as_deref() == Some(&user.id.to_string()))
    }

    pub(crate) fn reaction(&self, cx: &Context<GitHub>) -> Option<Reaction> {
        Some(Reaction::new(cx.reaction_named(&self.content)?, self.user.as_ref()?.actor()))
    }
}

#[derive(Deserialize)]
pub(crate) struct ApiHook {
    pub(crate) id: u64,
    #[serde(default)]
    config: ApiHookConfig,
}

#[derive(Default, Deserialize)]
struct ApiHookConfig {
    url: Option<String>,
}

impl ApiHook {
    pub(crate) fn registration(self) -> Registration {
        let registration = Registration::new(self.id.to_string());
        match self.config.url {
            Some(url) => registration.url(url),
            None => registration,
        }
    }
}

/// A push: of an issue, of a comment on one, or of a pull request.
#[derive(Deserialize)]
pub(crate) struct ApiEvent {
    action: Option<String>,
    issue: Option<ApiEventItem>,
    comment: Option<IgnoredAny>,
    pull_request: Option<ApiEventItem>,
}

#[derive(Deserialize)]
struct ApiEventItem {
    id: u64,
    number: u64,
    pull_request: Option<IgnoredAny>,
}

impl ApiEvent {
    /// The issue that is no longer there.
    pub(crate) fn gone(&self) -> Option<Source> {
        let gone = matches!(self.action.as_deref(), Some("deleted" | "transferred")) && self.comment.is_none();
        self.issue.as_ref().filter(|_| gone).map(|issue| source(false, issue.id))
    }

    /// The item that changed; none in a ping.
    pub(crate) fn item(&self, channel: &ChannelId) -> Option<Item> {
        let item = self.issue.as_ref().or(self.pull_request.as_ref())?;
        let pull = self.pull_request.is_some() || item.pull_request.is_some();
        Some(Item { channel: channel.clone(), number: item.number, pull })
    }
}
