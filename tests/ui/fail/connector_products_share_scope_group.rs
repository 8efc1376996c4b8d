use connector_core::prelude::*;

#[connector(
    provider = Google,
    scopes(optional(id = "calendar", label = "Calendar", scopes = ["calendar.read"])),
    products(
        calendar(label = "Calendar", scope_group = "calendar"),
        mail(label = "Mail", scope_group = "calendar"),
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
