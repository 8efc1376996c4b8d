#![allow(unused_variables)]

use connector_core::prelude::*;

#[connector]
#[derive(Default)]
struct Example;

#[connector]
impl Connector for Example {}

#[connector]
impl Example {
    #[sync(every = "15m")]
    async fn page(
        &self,
        cx: &Context<Self>,
        channel: String,
        after: Option<u64>,
    ) -> Result<Step<u64>> {
        Ok(Step::Done(1))
    }
}

fn main() {
    let _ = Example::page;
}
