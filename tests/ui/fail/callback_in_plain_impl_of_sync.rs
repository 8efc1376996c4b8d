use connector_core::prelude::*;

#[sync(every = "15m")]
fn pages() {}

fn main() {
    pages();
}
