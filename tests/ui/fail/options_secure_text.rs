use connector_core::prelude::*;

#[derive(Options)]
struct Settings {
    #[option(secure)]
    key: String,
}

fn is_options<O: connector_core::options::Options>() {}

fn main() {
    is_options::<Settings>();
}
