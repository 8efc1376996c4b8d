use connector_core::prelude::*;

fn failed() -> Error {
    Error::new("try again some time", "the service said so")
}

fn main() {
    let _ = failed;
}
