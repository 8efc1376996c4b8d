use connector_core::prelude::*;

#[derive(Options)]
struct Settings {
    live: Option<bool>,
}

fn is_options<O: connector_core::options::Options>() {}

fn main() {
    is_options::<Settings>();
}
