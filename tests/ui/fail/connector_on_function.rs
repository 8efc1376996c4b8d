use connector_core::prelude::*;

#[connector]
fn example() {}

fn main() {
    example();
}
