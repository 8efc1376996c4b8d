use connector_core::prelude::*;

fn store<T: Serialize>(value: &T) {
    let _ = value;
}

fn show(token: &Secret) -> String {
    store(token);
    format!("{token}")
}

fn main() {
    let _ = show;
}
