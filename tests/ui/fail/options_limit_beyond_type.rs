use connector_core::prelude::*;

#[derive(Options)]
struct Settings {
    #[option(max = 300)]
    days: u8,
}

fn is_options<O: connector_core::options::Options>() {}

fn main() {
    is_options::<Settings>();
}
