use connector_core::prelude::*;

#[link_type]
enum Issue {
    Open,
}

fn link(source: Source, author: Author, at: Timestamp) -> NewLink {
    NewLink::new(Issue::Open, source, author, at)
}

fn main() {
    let _ = link;
}
