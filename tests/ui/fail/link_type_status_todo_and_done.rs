use connector_core::prelude::*;
#[connector(link_types = [A])]
#[derive(Default)]
pub struct C;
#[link_type(label = "A")]
pub enum A {
    #[status(label = "Open", todo, done)]
    Open,
}
#[connector]
impl Connector for C {}

fn main() {}
