use connector_core::prelude::*;

#[link_type]
enum Issue {
    Open,
}

fn link(source: Source, channel: &ChannelId, author: Author) -> NewLink {
    NewLink::new(Issue::Open, source, channel, author)
}

fn main() {
    let _ = link;
}
