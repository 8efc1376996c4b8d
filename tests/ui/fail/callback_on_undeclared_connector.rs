#![allow(unused_variables)]

use connector_core::prelude::*;

struct Example;

#[connector]
impl Example {
    #[callback]
    async fn page(&self, cx: &Context<Self>, page: u32) -> Result<()> {
        Ok(())
    }
}

fn main() {
    let _ = Example::page;
}
