use connector_core::prelude::*;
#[connector]
#[derive(Default)]
pub struct C;
#[tool(id = "t")]
#[derive(Default)]
pub struct T;
impl Tool for T {}
#[connector]
impl Connector for C {
    async fn activate(&self, cx: &Context<Self>, _: &Authorization, _: &Actor) -> Result<()> {
        cx.tool::<T>().map(drop)
    }
}

fn main() {}
