#![allow(unused_variables)]

use connector_core::prelude::*;

#[connector]
#[derive(Default)]
struct Example;

#[connector]
impl Connector for Example {}

#[connector]
impl Example {
    #[drain(batch = 20)]
    async fn page(&self, cx: &Context<Self>) -> Result<Drained<u64>> {
        Ok(Drained::all())
    }
}

fn main() {
    let _ = Example::page;
}
