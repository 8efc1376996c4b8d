use connector_core::prelude::*;

fn note(link: Source, author: Author, at: Timestamp, html: String) -> NewNote {
    NewNote::new(link, "1", author, at, html)
}

fn main() {
    let _ = note;
}
