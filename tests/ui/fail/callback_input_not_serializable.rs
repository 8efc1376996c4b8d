#![allow(unused_variables)]

use connector_core::prelude::*;

struct Client;

#[connector]
#[derive(Default)]
struct Example;

#[connector]
impl Connector for Example {}

#[connector]
impl Example {
    #[callback]
    async fn page(&self, cx: &Context<Self>, #[input] client: Client) -> Result<()> {
        Ok(())
    }
}

fn main() {
    let _ = Example::page;
}
