use connector_core::prelude::*;

fn create(source: Source) -> NewLink {
    LinkPatch::new(source).title("From a push that says no more")
}

fn main() {
    let _ = create;
}
