use connector_core::prelude::*;

#[derive(Choices)]
enum Window {
    Day,
    Days(u32),
}

fn main() {
    let _ = (Window::Day, Window::Days(1));
}
