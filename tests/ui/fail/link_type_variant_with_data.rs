use connector_core::prelude::*;

#[link_type]
enum Issue {
    Open,
    Closed(String),
}

fn main() {
    let _ = (Issue::Open, Issue::Closed(String::new()));
}
