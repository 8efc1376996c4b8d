use connector_core::prelude::*;
#[connector]
#[derive(Default)]
pub struct C;
#[connector]
impl Connector for C {
    async fn on_note_created(&self, _: &Context<Self>, _: &Note, _: &Thread) -> Result<WriteBack> {
        Ok(WriteBack::accepted())
    }
}

fn main() {}
