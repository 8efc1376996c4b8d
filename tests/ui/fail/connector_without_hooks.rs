use connector_core::prelude::*;

#[connector]
#[derive(Default)]
struct Example;

fn main() {
    let _ = Example;
}
