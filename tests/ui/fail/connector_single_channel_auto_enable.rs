use connector_core::prelude::*;

#[connector(single_channel, auto_enable_new_channels)]
#[derive(Default)]
struct Example;

#[connector]
impl Connector for Example {}

fn is_connector<C: Connector>() {}

fn main() {
    is_connector::<Example>();
}
