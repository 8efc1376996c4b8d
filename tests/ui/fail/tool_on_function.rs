use connector_core::prelude::*;

#[tool]
fn people() {}

fn main() {
    people();
}
