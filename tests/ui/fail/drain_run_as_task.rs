use connector_core::prelude::*;
#[connector]
#[derive(Default)]
pub struct C;
#[connector]
impl Connector for C {
    async fn activate(&self, cx: &Context<Self>, _: &Authorization, _: &Actor) -> Result<()> {
        cx.run_task(Changed).await.map(drop)
    }
}
#[connector]
impl C {
    #[drain]
    async fn changed(&self, _: &Context<Self>, ids: Vec<u64>) -> Result<Drained<u64>> {
        let _ = ids;
        Ok(Drained::all())
    }
}

fn main() {}
