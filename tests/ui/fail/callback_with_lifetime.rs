use connector_core::prelude::*;
use std::borrow::Cow;
#[connector]
#[derive(Default)]
pub struct C;
#[connector]
impl Connector for C {}
#[connector]
impl C {
    #[callback]
    async fn page(&self, _: &Context<Self>, n: Cow<'_, str>) -> Result<()> {
        let _ = n;
        Ok(())
    }
}

fn main() {}
