use connector_core::prelude::*;

#[link_type]
enum Issue {
    Open,
}

fn link(source: Source, channel: &ChannelId, author: Author, day: Date) -> NewLink {
    NewLink::new(Issue::Open, source, channel, author, day)
}

fn main() {
    let _ = link;
}
