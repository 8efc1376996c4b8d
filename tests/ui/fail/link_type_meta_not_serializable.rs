use connector_core::prelude::*;

struct Number(u64);

#[link_type(meta = Number)]
enum Issue {
    Open,
    Closed,
}

fn main() {
    let _ = (Issue::Open, Number(1).0);
}
