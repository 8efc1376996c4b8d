use connector_core::prelude::*;
#[connector]
#[derive(Default)]
pub struct C;
#[connector]
impl Connector for C {
    #[callback]
    async fn page(&self, _: &Context<Self>, n: u32) -> Result<()> {
        let _ = n;
        Ok(())
    }
}

fn main() {}
