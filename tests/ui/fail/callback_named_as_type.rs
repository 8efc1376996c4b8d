use connector_core::prelude::*;
pub struct Issues {
    pub n: u32,
}
#[connector]
#[derive(Default)]
pub struct C;
#[connector]
impl Connector for C {}
#[connector]
impl C {
    #[callback]
    async fn issues(&self, _: &Context<Self>, n: u32) -> Result<()> {
        let _ = n;
        Ok(())
    }
}

fn main() {}
