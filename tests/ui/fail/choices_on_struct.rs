use connector_core::prelude::*;

#[derive(Choices)]
struct Window;

fn main() {
    let _ = Window;
}
