//! Tools with callbacks of their own.

use connector_core::prelude::*;

/// The people of a service.
#[tool(id = "people", urls = ["https://people.example/*"], scopes = ["people.read"], tools = [Phones])]
#[derive(Default)]
pub struct People;

impl Tool for People {
    async fn post_activate(&self, cx: &Context<Self>) -> Result<()> {
        cx.run_task(PeoplePage { page: 1 }).await?;
        Ok(())
    }
}

#[tool]
impl People {
    /// One page of them.
    #[callback]
    async fn people_page(&self, cx: &Context<Self>, page: u32) -> Result<()> {
        cx.run_task(PeoplePage { page: page + 1 }).await?;
        Ok(())
    }
}

#[tool]
#[derive(Default)]
pub struct Phones;

impl Tool for Phones {}
