use connector_core::prelude::*;

enum Issue {
    Open,
}

#[connector(link_types = [Issue])]
#[derive(Default)]
struct Example;

#[connector]
impl Connector for Example {}

fn main() {
    let _ = (Example, Issue::Open);
}
