use connector_core::prelude::*;

struct People;

#[connector(tools = [People])]
#[derive(Default)]
struct Example;

#[connector]
impl Connector for Example {}

fn main() {
    let _ = (Example, People);
}
