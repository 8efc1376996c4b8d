//! The connector that is measured.

use connector_core::prelude::*;

/// Does next to nothing, many times.
#[connector(urls = ["http://127.0.0.1/*", "*"], link_types = [Record], options = LoadOptions, multiple_instances)]
#[derive(Default)]
pub struct Load;

/// Where the records are.
#[derive(Options)]
pub struct LoadOptions {
    /// The URL of the first page.
    #[option(label = "URL", default = "")]
    pub url: String,
}

/// An issue-like record.
#[link_type(label = "Record", meta = RecordMeta)]
pub(crate) enum Record {
    /// Open.
    #[status(label = "Open")]
    Open,
    /// Closed.
    #[status(label = "Closed", done)]
    Closed,
}

/// What a record has beyond the common model.
#[derive(Serialize, Deserialize)]
pub(crate) struct RecordMeta {
    /// Its number.
    pub number: u64,
    /// Its labels.
    pub labels: Vec<String>,
}

/// A record as the service gives it.
#[derive(Serialize, Deserialize)]
pub(crate) struct ApiRecord {
    /// Its id.
    pub id: u64,
    /// Its number.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// Open or closed.
    pub state: String,
    /// Its page.
    pub html_url: String,
    /// Who made it.
    pub user: ApiUser,
    /// Its labels.
    pub labels: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed.
    pub updated_at: Timestamp,
    /// Its text.
    pub body: String,
}

/// An account as the service gives it.
#[derive(Serialize, Deserialize)]
pub(crate) struct ApiUser {
    /// Its id.
    pub id: u64,
    /// Its handle.
    pub login: String,
}

/// What a task is called with in the measurement of dispatch.
#[derive(Serialize, Deserialize, JsonSchema, Clone)]
pub struct Item {
    /// The id.
    pub id: u64,
    /// The title.
    pub title: String,
    /// The labels.
    pub labels: Vec<String>,
}

#[connector]
impl Connector for Load {
    async fn get_channels(&self, _: &Context<Self>, _: &Account) -> Result<Vec<Channel>> {
        Ok(vec![Channel::new("records", "Records")])
    }
}

#[connector]
impl Load {
    /// Nothing.
    #[callback]
    pub async fn no_op(&self, _cx: &Context<Self>, number: u64) -> Result<()> {
        std::hint::black_box(number);
        Ok(())
    }

    /// Compares a bound callback with a direct call.
    #[callback]
    pub async fn compare(&self, cx: &Context<Self>, rounds: u32) -> Result<()> {
        crate::dispatch::compare(self, cx, rounds).await
    }

    /// Two state writes, one callback, one task, and links.
    #[callback]
    pub async fn unit(&self, cx: &Context<Self>, number: u64, links: u64) -> Result<()> {
        cx.set("cursor", &format!("page-{number}")).await?;
        cx.set(&format!("seen:{}", number % 50), &number).await?;
        let callback = cx.callback(NoOp { number }).await?;
        std::hint::black_box(callback.token());
        cx.run_task_at(NoOp { number }, Timestamp::MAX).await?;
        if links > 0 {
            let channel = ChannelId::from_static("records");
            let at = Timestamp::UNIX_EPOCH;
            cx.integrations()
                .save_links((0..links).map(|place| {
                    let id = number * links + place;
                    let source = Source::new("load", [id.to_string()]);
                    let meta = RecordMeta { number: id, labels: vec!["bug".to_owned(), "urgent".to_owned()] };
                    NewLink::new(Record::Open.with(meta), source, &channel, Actor::new("7").handle("grace"), at)
                        .title(format!("Something that somebody wanted to be done, number {id}"))
                        .preview("A few words that say more about it than the title does, but not as much as its whole text would.")
                        .url(format!("https://service.example/records/{id}"))
                }))
                .await?;
        }
        Ok(())
    }

    /// The records, page by page.
    #[sync(every = "1h")]
    async fn records(&self, cx: &Context<Self>, channel: ChannelId, after: Option<u64>) -> Result<Step<u64>> {
        let page = after.unwrap_or(0);
        let response = cx.network().get(&cx.options().url).query("page", page.to_string()).send().await?;
        let more = response.header("x-more") == Some("1");
        let records: Vec<ApiRecord> = response.json()?;
        cx.integrations().save_links(records.into_iter().map(|record| to_link(&channel, record))).await?;
        Ok(if more { Step::Next(page + 1) } else { Step::Done(0) })
    }
}

#[connector]
impl Load {
    /// Gives back something that depends on all of what it gets.
    #[callback]
    pub async fn measure(&self, _cx: &Context<Self>, items: Vec<Item>, page: u32) -> Result<u64> {
        Ok(items.iter().map(|item| item.id + item.title.len() as u64 + item.labels.len() as u64).sum::<u64>()
            + u64::from(page))
    }
}

fn to_link(channel: &ChannelId, record: ApiRecord) -> NewLink {
    let status = if record.state == "closed" { Record::Closed } else { Record::Open };
    let source = Source::new("load", ["record", &record.id.to_string()]);
    let author = Actor::new(record.user.id.to_string()).handle(record.user.login);
    let kind = status.with(RecordMeta { number: record.number, labels: record.labels });
    NewLink::new(kind, source, channel, author, record.created_at)
        .title(record.title)
        .preview(record.body)
        .url(record.html_url)
        .updated_at(record.updated_at)
}
