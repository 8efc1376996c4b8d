use connector_core::prelude::*;

#[connector(
    provider = Google,
    scopes(
        required = ["email"],
        optional(id = "calendar", label = "Calendar", scopes = ["calendar.read"]),
    ),
    products(calendar(label = "Calendar", scope_group = "calender")),
)]
#[derive(Default)]
struct Example;

#[connector]
impl Connector for Example {}

fn is_connector<C: Connector>() {}

fn main() {
    is_connector::<Example>();
}
