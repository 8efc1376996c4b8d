use connector_core::prelude::*;

#[derive(Options)]
struct Settings {
    #[option(min = 1)]
    name: String,
}

fn is_options<O: connector_core::options::Options>() {}

fn main() {
    is_options::<Settings>();
}
