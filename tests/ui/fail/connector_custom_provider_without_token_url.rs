use connector_core::prelude::*;

#[connector(
    provider = custom(
        id = "acme",
        authorize_url = "https://acme.example/authorize",
        api_url = "https://acme.example/api",
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
