use connector_core::prelude::*;
#[connector]
#[connector]
#[derive(Default)]
pub struct C;
#[connector]
impl Connector for C {}

fn main() {}
