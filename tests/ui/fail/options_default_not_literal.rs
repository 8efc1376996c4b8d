use connector_core::prelude::*;

fn default_days() -> u32 {
    90
}

#[derive(Options)]
struct Settings {
    #[option(default = default_days())]
    days: u32,
}

fn is_options<O: connector_core::options::Options>() {}

fn main() {
    is_options::<Settings>();
    let _ = default_days();
}
