use connector_core::prelude::*;
#[connector(fixed_channels, auto_enable_new_channels)]
#[derive(Default)]
pub struct C;
#[connector]
impl Connector for C {}

fn main() {}
