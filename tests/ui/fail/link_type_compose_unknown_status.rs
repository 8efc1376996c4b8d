use connector_core::prelude::*;

#[link_type(compose(status = Opne))]
enum Issue {
    Open,
    Closed,
}

fn is_link_type<T: LinkType>() {}

fn main() {
    is_link_type::<Issue>();
    let _ = Issue::Open;
}
