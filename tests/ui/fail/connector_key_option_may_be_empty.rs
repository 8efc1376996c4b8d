use connector_core::prelude::*;
#[connector(options = O, key_option = "key", urls = ["https://a.test/*"])]
#[derive(Default)]
pub struct C;
#[derive(Options)]
pub struct O {
    key: Option<Secret>,
}
#[connector]
impl Connector for C {}

fn main() {}
