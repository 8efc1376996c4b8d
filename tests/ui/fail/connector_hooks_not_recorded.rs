use connector_core::prelude::*;

#[connector]
#[derive(Default)]
struct Example;

impl Connector for Example {}

fn is_connector<C: Connector>() {}

fn main() {
    is_connector::<Example>();
}
