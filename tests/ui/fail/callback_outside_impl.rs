use connector_core::prelude::*;

struct Example;

impl Example {
    #[callback]
    async fn page(&self) {}
}

fn main() {
    let _ = Example.page();
}
