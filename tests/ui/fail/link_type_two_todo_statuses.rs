use connector_core::prelude::*;

#[link_type]
enum Issue {
    #[status(todo)]
    Open,
    #[status(todo)]
    Closed,
}

fn is_link_type<T: LinkType>() {}

fn main() {
    is_link_type::<Issue>();
    let _ = Issue::Open;
}
