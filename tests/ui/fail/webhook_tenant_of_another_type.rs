#![allow(unused_variables)]

use connector_core::prelude::*;

#[connector]
#[derive(Default)]
struct Example;

#[connector]
impl Connector for Example {}

fn team_of(request: &WebhookRequest) -> String {
    String::new()
}

#[connector]
impl Example {
    #[webhook(verify = slack, app(tenant = team_of))]
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
