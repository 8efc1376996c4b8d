use connector_core::prelude::*;

#[connector(urls = ["api.github.com"])]
#[derive(Default)]
struct Example;

#[connector]
impl Connector for Example {}

fn is_connector<C: Connector>() {}

fn main() {
    is_connector::<Example>();
}
