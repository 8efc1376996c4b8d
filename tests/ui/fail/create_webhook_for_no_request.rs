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
    async fn page(&self, cx: &Context<Self>, page: u32) -> Result<()> {
        cx.create_webhook(Page { page }).await?;
        Ok(())
    }
}

fn main() {
    let _ = Example::page;
}
