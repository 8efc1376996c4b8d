use connector_core::prelude::*;

#[connector(shared, id = "example", shared = false)]
#[derive(Default)]
struct Example;

#[connector]
impl Connector for Example {}

fn is_connector<C: Connector>() {}

fn main() {
    is_connector::<Example>();
}
