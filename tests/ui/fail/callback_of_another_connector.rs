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
        Ok(())
    }
}

#[connector]
#[derive(Default)]
struct Other;

#[connector]
impl Connector for Other {
    async fn deactivate(&self, cx: &Context<Self>) -> Result<()> {
        cx.run_task(Page { page: 1 }).await?;
        Ok(())
    }
}

fn main() {
    let _ = Example::page;
}
