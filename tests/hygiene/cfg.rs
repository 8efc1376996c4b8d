//! What is configured away is away in everything that is made of it.

use connector_core::prelude::*;

#[connector(id = "configured", link_types = [State])]
#[derive(Default)]
pub struct Configured;

#[link_type]
pub enum State {
    Open,
    #[cfg(not(test))]
    Never,
    #[cfg(test)]
    Closed,
}

#[derive(Options)]
pub struct Settings {
    pub live: bool,
    #[cfg(not(test))]
    pub never: NoSuchType,
}

#[connector]
impl Connector for Configured {
    #[cfg(not(test))]
    async fn activate(&self, cx: NoSuchType) -> Result<()> {
        Ok(())
    }
}

#[connector]
impl Configured {
    #[cfg(not(test))]
    #[callback]
    async fn never(&self, cx: &Context<Self>, argument: NoSuchType) -> Result<()> {
        Ok(())
    }

    #[cfg(test)]
    #[callback]
    async fn always(&self, cx: &Context<Self>, page: u32) -> Result<()> {
        cx.run_task(Always { page }).await?;
        Ok(())
    }

    #[callback]
    #[cfg(not(test))]
    async fn after(&self, cx: &Context<Self>) -> NoSuchType {}
}
