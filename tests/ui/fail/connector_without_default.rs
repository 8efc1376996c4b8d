use connector_core::prelude::*;

#[connector]
struct Example {
    size: u32,
}

#[connector]
impl Connector for Example {}

fn is_connector<C: Connector>() {}

fn main() {
    is_connector::<Example>();
    let _ = Example { size: 1 }.size;
}
