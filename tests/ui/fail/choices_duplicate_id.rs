use connector_core::prelude::*;

#[derive(Choices)]
enum Window {
    Day,
    #[choice(id = "day")]
    Week,
}

fn main() {
    let _ = (Window::Day, Window::Week);
}
