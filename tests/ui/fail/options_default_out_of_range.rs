use connector_core::prelude::*;

#[derive(Options)]
struct Settings {
    #[option(default = 0, min = 1, max = 3650)]
    days: u32,
}

fn is_options<O: connector_core::options::Options>() {}

fn main() {
    is_options::<Settings>();
}
