use connector_core::prelude::*;
#[connector(shared)]
#[derive(Default)]
pub struct C;
#[connector]
impl Connector for C {}

fn main() {}
