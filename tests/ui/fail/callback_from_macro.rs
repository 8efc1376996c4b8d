#![allow(unused_variables)]

use connector_core::prelude::*;

macro_rules! methods {
    () => {
        #[callback]
        async fn page(&self, cx: &Context<Self>) -> Result<()> {
            Ok(())
        }
    };
}

#[connector]
#[derive(Default)]
struct Example;

#[connector]
impl Connector for Example {}

#[connector]
impl Example {
    methods!();
}

fn main() {
    let _ = Example;
}
