#![allow(unused_variables)]

use connector_core::prelude::*;

#[derive(Options)]
struct Settings {
    /// How far back the first sync goes, in days.
    #[option(default = 0, min = 1)]
    days: u32,
    #[option(lable = "Key")]
    api_key: Secret,
}

#[link_type(sharing = Everyone, compose(status = Opened))]
enum Issue {
    #[status(todo)]
    Open,
    #[status(todo)]
    Closed,
}

#[connector(
    id = "Example",
    scopes("repo"),
    key_option = "api_kye",
    options = Settings,
    link_types = [Issue],
    urls = ["ftp://example.com"],
    shred,
)]
#[derive(Default)]
struct Example;

#[connector]
impl Connector for Example {
    async fn on_create_links(&self, _: &Context<Self>) -> Result<()> {
        Ok(())
    }
}

#[connector]
impl Example {
    #[sync(every = "soon")]
    async fn issues(&self, cx: &Context<Self>, page: u32, after: Option<u64>) -> Result<Step<u64>> {
        Ok(Step::Done(1))
    }

    #[callback]
    fn page(&self, cx: &Context<Self>, page: u32) -> Result<()> {
        Ok(())
    }
}

fn is_connector<C: Connector>() {}

fn main() {
    is_connector::<Example>();
    let _ = (Issue::Open, Example::issues, Example::page);
}
