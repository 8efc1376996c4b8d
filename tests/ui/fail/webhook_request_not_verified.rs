#![allow(unused_variables)]

use connector_core::prelude::*;

#[connector]
#[derive(Default)]
struct Example;

#[connector]
impl Connector for Example {}

#[connector]
impl Example {
    #[webhook(verify = slack)]
    async fn page(&self, cx: &Context<Self>, #[input] request: WebhookRequest) -> Result<()> {
        Ok(())
    }
}

fn main() {
    let _ = Example::page;
}
