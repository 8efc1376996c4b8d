use connector_core::prelude::*;

#[link_type]
enum Issue {
    #[status(icon = Finished)]
    Open,
}

fn is_link_type<T: LinkType>() {}

fn main() {
    is_link_type::<Issue>();
    let _ = Issue::Open;
}
