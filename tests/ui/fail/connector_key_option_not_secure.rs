use connector_core::prelude::*;

#[derive(Options)]
struct Settings {
    api_key: String,
}

#[connector(options = Settings, key_option = "api_key")]
#[derive(Default)]
struct Example;

#[connector]
impl Connector for Example {}

fn is_connector<C: Connector>() {}

fn main() {
    is_connector::<Example>();
}
