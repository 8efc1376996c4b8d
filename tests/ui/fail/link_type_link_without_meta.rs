use connector_core::prelude::*;

#[link_type(meta = IssueMeta)]
enum Issue {
    Open,
}

#[derive(Serialize, Deserialize)]
struct IssueMeta {
    number: u64,
}

fn link(source: Source, channel: &ChannelId, author: Author, at: Timestamp) -> Result<NewLink> {
    Ok(NewLink::new(Issue::Open, source, channel, author, at))
}

fn main() {
    let _ = link;
}
