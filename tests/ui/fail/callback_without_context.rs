use connector_core::prelude::*;

#[connector]
#[derive(Default)]
struct Example;

#[connector]
impl Connector for Example {}

#[connector]
impl Example {
    #[callback]
    async fn page(&self, page: u32) -> Result<()> {
        Ok(())
    }
}

fn main() {
    let _ = Example::page;
}
