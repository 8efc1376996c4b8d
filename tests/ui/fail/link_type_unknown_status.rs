use connector_core::prelude::*;

#[link_type]
enum Issue {
    Open,
    Closed,
}

fn main() {
    let _ = Issue::Opne;
}
