#![allow(unused_variables)]

use connector_core::prelude::*;

#[connector]
#[derive(Default)]
struct Example;

#[connector]
impl Connector for Example {}

#[connector]
impl Example {
    #[callback]
    async fn page<T: Send>(&self, cx: &Context<Self>, of: T) -> Result<()> {
        Ok(())
    }
}

fn main() {
    let _ = Example::page::<u32>;
}
