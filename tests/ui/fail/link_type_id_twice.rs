use connector_core::prelude::*;
#[connector(link_types = [A, B])]
#[derive(Default)]
pub struct C;
#[link_type(label = "A", id = "x")]
pub struct A;
#[link_type(label = "B", id = "x")]
pub struct B;
#[connector]
impl Connector for C {}

fn main() {}
