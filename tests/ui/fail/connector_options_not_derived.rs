use connector_core::prelude::*;

struct Settings {
    key: Secret,
}

#[connector(options = Settings)]
#[derive(Default)]
struct Example;

#[connector]
impl Connector for Example {}

fn main() {
    let _ = Example;
}
