use connector_core::prelude::*;

#[connector]
#[derive(Default)]
struct Example<T>(T);

fn main() {
    let _ = Example(1);
}
