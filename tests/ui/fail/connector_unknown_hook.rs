use connector_core::prelude::*;

#[connector]
#[derive(Default)]
struct Example;

#[connector]
impl Connector for Example {
    async fn on_note_create(&self, _: &Context<Self>, _: &Note, _: &Thread) -> Result<WriteBack> {
        Ok(WriteBack::accepted())
    }
}

fn is_connector<C: Connector>() {}

fn main() {
    is_connector::<Example>();
}
