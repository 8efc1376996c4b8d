use connector_core::prelude::*;

#[connector(reactions(unicode, subset = ["👍"]))]
#[derive(Default)]
struct Example;

#[connector]
impl Connector for Example {
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

fn is_connector<C: Connector>() {}

fn main() {
    is_connector::<Example>();
}
