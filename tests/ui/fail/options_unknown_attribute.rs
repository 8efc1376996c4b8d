use connector_core::prelude::*;

#[derive(Options)]
struct Settings {
    #[option(lable = "Days")]
    days: u32,
}

fn is_options<O: connector_core::options::Options>() {}

fn main() {
    is_options::<Settings>();
}
