use connector_core::prelude::*;

fn source() -> Source {
    Source::new("tracker-7")
}

fn main() {
    let _ = source;
}
