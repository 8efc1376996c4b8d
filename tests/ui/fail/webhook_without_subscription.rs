#![allow(unused_variables)]

use connector_core::prelude::*;

#[connector]
#[derive(Default)]
struct Example;

#[connector]
impl Connector for Example {}

#[connector]
impl Example {
    #[webhook(verify = secret_url)]
    async fn pushed(
        &self,
        cx: &Context<Self>,
        #[input] request: Verified<WebhookRequest>,
    ) -> Result<()> {
        Ok(())
    }
}

fn main() {
    let _ = Example::pushed;
}
