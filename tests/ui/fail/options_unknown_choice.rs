use connector_core::prelude::*;

#[derive(Choices)]
enum Window {
    Day,
    Week,
}

#[derive(Options)]
struct Settings {
    #[option(default = "month")]
    window: Window,
}

fn is_options<O: connector_core::options::Options>() {}

fn main() {
    is_options::<Settings>();
}
