use connector_core::prelude::*;
#[connector]
#[derive(Default)]
pub struct C;
#[connector]
impl Connector for C {}
#[connector]
impl C {
    #[callback]
    async fn page(&self, _: &Context<Self>, channel: String) -> Result<()> {
        let _ = channel;
        Ok(())
    }
}

fn main() {}
