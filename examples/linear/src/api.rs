//! What Linear's GraphQL API is asked, what it gives, and what that is in the common model. The names are those of
//! its schema: <https://github.com/linear/linear/blob/master/packages/sdk/src/schema.graphql>.

use connector_core::link_type::StatusIcon;
use connector_core::prelude::*;
use connector_core::walk::{Items, Pages};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{Issue, IssueMeta, Linear, files};

/// The key of the note that holds the description of an issue.
pub(crate) const DESCRIPTION: &str = "description";

/// How much is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Detail {
    /// All that the connector knows of, and only what has changed.
    Full,
    /// What an issue is nothing without. GraphQL refuses a query whole for one name that the schema does not have any
    /// more, and what is beside the point must not stop a sync.
    Essential,
}

impl Detail {
    /// What there is of a comment.
    fn comment(self) -> String {
        let more = match self {
            Self::Full => "url parent { id } botActor { id name } externalUser { id name displayName email avatarUrl }",
            Self::Essential => "",
        };
        format!(
            "fragment Comment on Comment {{ id body createdAt updatedAt user {{ ...Person }} {more} }}
            fragment Person on User {{ id name displayName email avatarUrl }}"
        )
    }

    /// What there is of an issue.
    fn issue(self) -> String {
        let more = match self {
            Self::Full => {
                "trashed botActor { id name } externalUserCreator { id name displayName email avatarUrl }
                attachments(first: 20) { nodes { title url } }"
            }
            Self::Essential => "",
        };
        let comment = self.comment();
        format!(
            "fragment Issue on Issue {{
                id identifier title description priority url createdAt updatedAt dueDate
                team {{ id }} state {{ id type }} creator {{ ...Person }} assignee {{ ...Person }}
                labels(first: 20) {{ nodes {{ name }} }} project {{ name }}
                comments(first: 50) {{ nodes {{ ...Comment }} pageInfo {{ hasNextPage endCursor }} }} {more}
            }} {comment}"
        )
    }
}

/// The issues of a team that have changed since: the last change first, or, in a walk over all of them, those that were
/// made last, which no change moves. With less detail it is all of them.
pub(crate) async fn issues(
    cx: &Context<Linear>,
    (detail, all): (Detail, bool),
    team: &ChannelId,
    since: Timestamp,
    after: Option<&str>,
) -> Result<List<ApiIssue>> {
    #[derive(Deserialize)]
    struct Found {
        team: Option<Team>,
    }
    #[derive(Deserialize)]
    struct Team {
        issues: List<ApiIssue>,
    }
    let (variable, limits) = match (detail, all) {
        (Detail::Full, false) => {
            (", $filter: IssueFilter", ", filter: $filter, orderBy: updatedAt, includeArchived: true")
        }
        (Detail::Full, true) => {
            (", $filter: IssueFilter", ", filter: $filter, orderBy: createdAt, includeArchived: true")
        }
        (Detail::Essential, _) => ("", ""),
    };
    let query = format!(
        "query($team: String!, $after: String{variable}) {{ team(id: $team) {{
            issues(first: 25, after: $after{limits}) {{ nodes {{ ...Issue }} pageInfo {{ hasNextPage endCursor }} }}
        }} }} {}",
        detail.issue()
    );
    let mut variables = json!({ "team": team, "after": after });
    if let (Detail::Full, Some(variables)) = (detail, variables.as_object_mut()) {
        variables.insert("filter".to_owned(), json!({ "updatedAt": { "gte": since } }));
    }
    let Found { team } = cx.provider().graphql(&query, &variables).await?;
    team.map(|team| team.issues).ok_or_else(|| Error::gone("Linear has no such team any more"))
}

/// The issues with these ids, as far as they are there.
pub(crate) async fn issues_by_id(cx: &Context<Linear>, detail: Detail, ids: &[String]) -> Result<Items<ApiIssue>> {
    #[derive(Deserialize)]
    struct Found {
        issues: List<ApiIssue>,
    }
    let limits = if detail == Detail::Full { ", includeArchived: true" } else { "" };
    let query = format!(
        "query($filter: IssueFilter) {{
            issues(first: 25, filter: $filter{limits}) {{ nodes {{ ...Issue }} pageInfo {{ hasNextPage endCursor }} }}
        }} {}",
        detail.issue()
    );
    let found: Found = cx.provider().graphql(&query, &json!({ "filter": { "id": { "in": ids } } })).await?;
    Ok(found.issues.nodes)
}

/// The rest of the comments of an issue that has many.
pub(crate) async fn more_comments(cx: &Context<Linear>, detail: Detail, issue: &mut ApiIssue) -> Result<()> {
    #[derive(Deserialize)]
    struct Found {
        issue: Option<Said>,
    }
    #[derive(Deserialize)]
    struct Said {
        comments: List<ApiComment>,
    }
    let query = format!(
        "query($id: String!, $after: String) {{ issue(id: $id) {{
            comments(first: 50, after: $after) {{ nodes {{ ...Comment }} pageInfo {{ hasNextPage endCursor }} }}
        }} }} {}",
        detail.comment()
    );
    let mut pages = Pages::default().after(issue.comments.next());
    while let Some(page) = pages {
        let found: Found = cx.provider().graphql(&query, &json!({ "id": issue.id, "after": page.at()? })).await?;
        let Some(Said { comments }) = found.issue else { return Ok(()) };
        pages = page.after(comments.next());
        issue.odd |= !comments.nodes.is_whole();
        issue.comments.nodes.extend(comments.nodes.take(cx));
    }
    Ok(())
}

/// The teams, each with its own workflow states in place of the declared statuses (R1.8).
pub(crate) async fn teams(cx: &Context<Linear>) -> Result<Vec<Channel>> {
    #[derive(Deserialize)]
    struct Found {
        teams: List<ApiTeam>,
    }
    let query = "query($after: String) { teams(first: 50, after: $after) {
        nodes { id key name states(first: 50) { nodes { id name type position } } }
        pageInfo { hasNextPage endCursor }
    } }";
    let (mut channels, mut pages) = (Vec::new(), Some(Pages::default()));
    while let Some(page) = pages {
        let Found { teams } = cx.provider().graphql(query, &json!({ "after": page.at()? })).await?;
        pages = page.after(teams.next());
        channels.extend(teams.nodes.take(cx).into_iter().map(ApiTeam::channel));
    }
    Ok(channels)
}

pub(crate) async fn viewer(cx: &Context<Linear>) -> Result<ApiUser> {
    #[derive(Deserialize)]
    struct Found {
        viewer: ApiUser,
    }
    let query = "query { viewer { id name displayName email avatarUrl } }";
    let found: Found = cx.provider().graphql(query, &json!({})).await?;
    Ok(found.viewer)
}

/// Creates an issue from an `IssueCreateInput`.
pub(crate) async fn create_issue(cx: &Context<Linear>, input: &Value) -> Result<ApiIssue> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Done {
        issue_create: Created,
    }
    #[derive(Deserialize)]
    struct Created {
        issue: ApiIssue,
    }
    let mutation = "mutation($input: IssueCreateInput!) { issueCreate(input: $input) { issue { ...Issue } } }";
    let mutation = format!("{mutation} {}", Detail::Essential.issue());
    let done: Done = cx.provider().graphql(&mutation, &json!({ "input": input })).await?;
    Ok(done.issue_create.issue)
}

/// Changes an issue by an `IssueUpdateInput`.
pub(crate) async fn update_issue(cx: &Context<Linear>, link: &Link, input: &Value) -> Result<()> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Done {
        issue_update: Success,
    }
    let mutation =
        "mutation($id: String!, $input: IssueUpdateInput!) { issueUpdate(id: $id, input: $input) { success } }";
    let done: Done = cx.provider().graphql(mutation, &json!({ "id": id_of(link), "input": input })).await?;
    done.issue_update.check()
}

/// Creates a comment from a `CommentCreateInput`, or changes the one with this id.
pub(crate) async fn save_comment(cx: &Context<Linear>, id: Option<&NoteKey>, input: &Value) -> Result<ApiComment> {
    #[derive(Deserialize)]
    struct Done {
        saved: Saved,
    }
    #[derive(Deserialize)]
    struct Saved {
        comment: ApiComment,
    }
    let fields = "{ comment { ...Comment } }";
    let mutation = match id {
        None => format!("mutation($input: CommentCreateInput!) {{ saved: commentCreate(input: $input) {fields} }}"),
        Some(_) => format!(
            "mutation($id: String!, $input: CommentUpdateInput!) {{ saved: commentUpdate(id: $id, input: $input) {fields} }}"
        ),
    };
    let mut variables = json!({ "input": input });
    if let (Some(id), Some(variables)) = (id, variables.as_object_mut()) {
        variables.insert("id".to_owned(), json!(id));
    }
    let mutation = format!("{mutation} {}", Detail::Essential.comment());
    let done: Done = cx.provider().graphql(&mutation, &variables).await?;
    Ok(done.saved.comment)
}

/// Makes Linear push what happens to the issues of a team; the id of the webhook.
pub(crate) async fn create_webhook(cx: &Context<Linear>, team: &ChannelId, endpoint: &Endpoint) -> Result<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Done {
        webhook_create: Created,
    }
    #[derive(Deserialize)]
    struct Created {
        webhook: Webhook,
    }
    #[derive(Deserialize)]
    struct Webhook {
        id: String,
    }
    let input = json!({
        "teamId": team,
        "url": endpoint.url,
        "secret": endpoint.secret.as_ref().map(Secret::expose),
        "resourceTypes": ["Issue", "Comment", "Attachment"],
    });
    let mutation = "mutation($input: WebhookCreateInput!) { webhookCreate(input: $input) { webhook { id } } }";
    let done: Done = cx.provider().graphql(mutation, &json!({ "input": input })).await?;
    Ok(done.webhook_create.webhook.id)
}

/// The webhooks of a team.
pub(crate) async fn webhooks(cx: &Context<Linear>, team: &ChannelId) -> Result<Vec<Registration>> {
    #[derive(Deserialize)]
    struct Found {
        team: Option<Team>,
    }
    #[derive(Deserialize)]
    struct Team {
        webhooks: List<Webhook>,
    }
    #[derive(Deserialize)]
    struct Webhook {
        id: String,
        url: String,
    }
    let query = "query($team: String!) { team(id: $team) { webhooks(first: 100) { nodes { id url } } } }";
    let Found { team } = cx.provider().graphql(query, &json!({ "team": team })).await?;
    let webhooks = team.map(|team| team.webhooks.nodes.take(cx)).unwrap_or_default();
    Ok(webhooks.into_iter().map(|webhook| Registration::new(webhook.id).url(webhook.url)).collect())
}

pub(crate) async fn delete_webhook(cx: &Context<Linear>, id: &str) -> Result<()> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Done {
        webhook_delete: Success,
    }
    let mutation = "mutation($id: String!) { webhookDelete(id: $id) { success } }";
    let done: Result<Done> = cx.provider().graphql(mutation, &json!({ "id": id })).await;
    done.unless_gone()?.map_or(Ok(()), |done| done.webhook_delete.check())
}

#[derive(Deserialize)]
struct Success {
    success: bool,
}

impl Success {
    fn check(&self) -> Result<()> {
        if self.success { Ok(()) } else { Err(Error::rejected("Linear did not take the change")) }
    }
}

/// A connection in the sense of Relay; without `pageInfo` it was not asked how it goes on.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<T> {
    nodes: Vec<T>,
    #[serde(default)]
    page_info: PageInfo,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
    end_cursor: Option<String>,
}

impl PageInfo {
    fn next(&self) -> Option<&str> {
        self.end_cursor.as_deref().filter(|_| self.has_next_page)
    }
}

impl<T> Page<T> {
    /// What comes after it.
    fn next(&self) -> Option<&str> {
        self.page_info.next()
    }
}

/// The same, of which each item is read by itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound = "T: DeserializeOwned")]
pub(crate) struct List<T> {
    pub(crate) nodes: Items<T>,
    #[serde(default)]
    page_info: PageInfo,
}

impl<T> List<T> {
    /// What comes after it.
    pub(crate) fn next(&self) -> Option<&str> {
        self.page_info.next()
    }
}

#[derive(Deserialize)]
struct ApiTeam {
    id: String,
    key: String,
    name: String,
    states: Page<ApiState>,
}

impl ApiTeam {
    fn channel(mut self) -> Channel {
        let order = |state: &ApiState| (state.kind, state.position);
        self.states.nodes.sort_by(|a, b| order(a).0.cmp(&order(b).0).then(order(a).1.total_cmp(&order(b).1)));
        let reopens = self.states.nodes.iter().position(|state| state.kind == StateKind::Unstarted);
        let statuses = self.states.nodes.into_iter().enumerate().map(|(index, state)| {
            let mut status = state.status();
            status.todo = reopens == Some(index);
            status
        });
        let refined = LinkTypeRefinement::of::<Issue>().statuses(statuses);
        Channel::new(self.id, self.name).description(self.key).link_types([refined])
    }
}

/// A workflow state of a team.
#[derive(Deserialize)]
struct ApiState {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(rename = "type")]
    kind: StateKind,
    #[serde(default)]
    position: f64,
}

/// In the order that Linear shows them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StateKind {
    Triage,
    Backlog,
    Unstarted,
    Started,
    Completed,
    Canceled,
    #[serde(other)]
    Other,
}

impl StateKind {
    fn issue(self) -> Issue {
        match self {
            Self::Triage | Self::Backlog => Issue::Backlog,
            Self::Unstarted | Self::Other => Issue::Todo,
            Self::Started => Issue::InProgress,
            Self::Completed => Issue::Done,
            Self::Canceled => Issue::Canceled,
        }
    }
}

impl ApiState {
    fn status(self) -> DynamicStatus {
        let mut status = DynamicStatus::new(self.id, self.name);
        status.icon = Some(match self.kind.issue() {
            Issue::Backlog => StatusIcon::Backlog,
            Issue::Todo => StatusIcon::Todo,
            Issue::InProgress => StatusIcon::InProgress,
            Issue::Done => StatusIcon::Done,
            Issue::Canceled => StatusIcon::Cancelled,
        });
        status.active = self.kind == StateKind::Started;
        status.done = matches!(self.kind, StateKind::Completed | StateKind::Canceled);
        status
    }
}

/// Someone with an account, an app, or someone who wrote from another service.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApiUser {
    /// None of an app that Linear has no account for.
    id: Option<String>,
    pub(crate) name: Option<String>,
    display_name: Option<String>,
    email: Option<String>,
    avatar_url: Option<String>,
}

impl ApiUser {
    pub(crate) fn actor(&self) -> Actor {
        let name = self.name.as_ref().or(self.display_name.as_ref());
        let mut actor = Actor::new(self.id.as_ref().or(name).map_or("", String::as_str));
        actor.name = name.cloned();
        actor.handle.clone_from(&self.display_name);
        actor.email.clone_from(&self.email);
        actor.avatar.clone_from(&self.avatar_url);
        actor
    }

    fn author(user: Option<&Self>, external: Option<&Self>, bot: Option<&Self>) -> Author {
        match (user.or(external), bot) {
            (Some(person), _) => person.actor().into(),
            (None, Some(bot)) => bot.actor().bot().into(),
            (None, None) => Author::system("Linear does not say who"),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApiIssue {
    pub(crate) id: String,
    identifier: String,
    title: String,
    description: Option<String>,
    priority: f64,
    url: String,
    created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    due_date: Option<Date>,
    team: ApiId,
    state: ApiState,
    creator: Option<ApiUser>,
    external_user_creator: Option<ApiUser>,
    bot_actor: Option<ApiUser>,
    assignee: Option<ApiUser>,
    labels: Page<ApiName>,
    project: Option<ApiName>,
    comments: Page<ApiComment>,
    attachments: Option<Page<ApiAttachment>>,
    /// In the bin, from where Linear deletes it after a while.
    trashed: Option<bool>,
    /// A comment could not be read: those that are known stay.
    #[serde(skip)]
    odd: bool,
}

#[derive(Deserialize)]
struct ApiId {
    id: String,
}

#[derive(Deserialize)]
struct ApiName {
    name: String,
}

/// Something elsewhere that belongs to an issue: a pull request, a design, a conversation.
#[derive(Deserialize)]
struct ApiAttachment {
    title: String,
    url: String,
}

impl ApiIssue {
    pub(crate) fn is_gone(&self) -> bool {
        self.trashed == Some(true)
    }

    pub(crate) fn source(&self) -> Source {
        source(&self.id)
    }

    /// The issue with its description and its comments.
    pub(crate) fn link(&self) -> NewLink {
        let author =
            ApiUser::author(self.creator.as_ref(), self.external_user_creator.as_ref(), self.bot_actor.as_ref());
        let meta = IssueMeta {
            identifier: self.identifier.clone(),
            priority: self.priority as u8,
            labels: self.labels.nodes.iter().map(|label| label.name.clone()).collect(),
            project: self.project.as_ref().map(|project| project.name.clone()),
            due: self.due_date,
        };
        let description = self.description.as_deref().filter(|text| !text.is_empty()).map(|text| {
            NewNote::new(self.source(), DESCRIPTION, author.clone(), self.created_at, Content::markdown(text))
                .attachments(files::within(text))
                .url(&self.url)
        });
        let comments = self.comments.nodes.iter().map(|comment| comment.note(self.source()));
        let link = NewLink::new(
            self.state.kind.issue().with(meta),
            self.source(),
            ChannelId::new(self.team.id.as_str()),
            author,
            self.created_at,
        )
        .dynamic_status(self.state.id.as_str())
        .title(&self.title)
        .url(&self.url)
        .assignee(self.assignee.as_ref().map(ApiUser::actor))
        .updated_at(self.updated_at);
        let notes = description.into_iter().chain(comments);
        let link = if self.odd { link.notes(notes) } else { link.all_notes(notes) };
        match &self.attachments {
            Some(attachments) => {
                link.actions(attachments.nodes.iter().map(|to| ActionButton::open(&to.title, &to.url)))
            }
            None => link,
        }
    }
}

/// The identity of an issue: Linear's ids are unique everywhere, and stay when it moves to another team.
pub(crate) fn source(id: &str) -> Source {
    Source::new("linear", [id])
}

/// Linear's id of an issue.
pub(crate) fn id_of(link: &Link) -> Option<String> {
    link.source.qualifiers().next()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApiComment {
    id: String,
    body: String,
    created_at: Timestamp,
    updated_at: Timestamp,
    user: Option<ApiUser>,
    external_user: Option<ApiUser>,
    bot_actor: Option<ApiUser>,
    url: Option<String>,
    parent: Option<ApiId>,
}

impl ApiComment {
    fn note(&self, link: Source) -> NewNote {
        let author = ApiUser::author(self.user.as_ref(), self.external_user.as_ref(), self.bot_actor.as_ref());
        let content = Content::markdown(&self.body);
        let note = NewNote::new(link, self.id.as_str(), author, self.created_at, content)
            .attachments(files::within(&self.body))
            .updated_at(self.updated_at);
        let note = self.url.iter().fold(note, NewNote::url);
        self.parent.iter().fold(note, |note, parent| note.reply_to(parent.id.as_str()))
    }

    pub(crate) fn write_back(&self) -> WriteBack {
        let result = WriteBack::delivered(self.id.as_str()).stored(Content::markdown(&self.body));
        self.user.iter().fold(result, |result, user| result.author(user.actor()))
    }
}

/// A push: of an issue, or of what belongs to one.
#[derive(Deserialize)]
pub(crate) struct ApiEvent {
    action: String,
    #[serde(rename = "type")]
    kind: String,
    data: ApiEventData,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiEventData {
    id: String,
    issue_id: Option<String>,
    issue: Option<ApiId>,
}

impl ApiEvent {
    /// The issue that is no longer there.
    pub(crate) fn gone(&self) -> Option<Source> {
        (self.kind == "Issue" && self.action == "remove").then(|| source(&self.data.id))
    }

    /// The issue that changed, or something of it.
    pub(crate) fn issue(self) -> Option<String> {
        if self.kind == "Issue" {
            Some(self.data.id)
        } else {
            self.data.issue_id.or(self.data.issue.map(|issue| issue.id))
        }
    }
}
