use connector_core::prelude::*;

#[link_type(contact_roles(to(label = "To"), cc(label = "Cc")))]
enum Issue {
    Open,
    Closed,
}

fn is_link_type<T: LinkType>() {}

fn main() {
    is_link_type::<Issue>();
    let _ = Issue::Open;
}
