use connector_core::prelude::*;

#[tool(id = "people", provider = Google)]
#[derive(Default)]
struct People;

impl Tool for People {}

fn is_tool<T: Tool>() {}

fn main() {
    is_tool::<People>();
}
