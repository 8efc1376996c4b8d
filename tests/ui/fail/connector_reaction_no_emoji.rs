use connector_core::prelude::*;
#[connector(link_types = [A], reactions(subset = ["ok", "x"]))]
#[derive(Default)]
pub struct C;
#[link_type(label = "A")]
pub struct A;
#[connector]
impl Connector for C {
    async fn on_note_reaction_changed(
        &self,
        _: &Context<Self>,
        _: &Note,
        _: &Thread,
        _: &Actor,
        _: &Emoji,
        _: bool,
    ) -> Result<()> {
        Ok(())
    }
}

fn main() {}
