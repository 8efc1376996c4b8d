use connector_core::prelude::*;

#[derive(Options)]
struct Settings {
    days: Vec<u32>,
}

fn main() {
    let _ = Settings { days: Vec::new() }.days;
}
