use connector_core::prelude::*;

#[derive(Options)]
struct Settings(u32);

fn main() {
    let _ = Settings(1).0;
}
