use connector_core::prelude::*;

#[link_type]
struct Issue {
    number: u64,
}

fn main() {
    let _ = Issue { number: 1 }.number;
}
