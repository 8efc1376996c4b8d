use connector_core::prelude::*;

#[connector(
    provider = Google,
    scopes(
        optional(id = "calendar", label = "Calendar", scopes = ["a"]),
        optional(id = "mail", label = "Mail", scopes = ["b"]),
    ),
    products(
        calendar(label = "Calendar", scope_group = "calendar"),
        calendar(label = "Mail", scope_group = "mail"),
    ),
)]
#[derive(Default)]
struct Example;

#[connector]
impl Connector for Example {}

fn is_connector<C: Connector>() {}

fn main() {
    is_connector::<Example>();
}
