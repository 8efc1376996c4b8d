use connector_core::prelude::*;

#[link_type(supports(schedule_changes))]
enum Issue {
    Open,
}

#[connector(link_types = [Issue])]
#[derive(Default)]
struct Example;

#[connector]
impl Connector for Example {}

fn is_connector<C: Connector>() {}

fn main() {
    is_connector::<Example>();
}
