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
    async fn page(&self, cx: &Context<Self>, after: Option<u64>) -> Result<Step<String>> {
        Ok(Step::Done(String::new()))
    }
}

fn main() {
    let _ = Example::page;
}
