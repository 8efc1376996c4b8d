use connector_core::prelude::*;

#[link_type]
enum Issue {
    Open,
}

fn link(source: Source, channel: &ChannelId, at: Timestamp) -> NewLink {
    NewLink::new(Issue::Open, source, channel, at)
}

fn main() {
    let _ = link;
}
