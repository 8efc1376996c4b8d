use connector_core::prelude::*;
#[connector]
#[derive(Default)]
pub struct C;
#[connector]
impl Connector for C {
    async fn activate(&self, cx: &Context<Self>, _: &Authorization, _: &Actor) -> Result<()> {
        cx.run_task(Items { channel: "a".into() }).await.map(drop)
    }
}
#[connector]
impl C {
    #[sync(every = "1h")]
    async fn items(&self, _: &Context<Self>, channel: ChannelId, c: Option<u64>) -> Result<Step<u64>> {
        let _ = (channel, c);
        Ok(Step::Done(1))
    }
}

fn main() {}
