//! What the macros emit has documentation wherever the author wrote some, and needs none elsewhere.

#![deny(missing_docs, unreachable_pub, unused, rust_2018_idioms, unused_qualifications)]

use connector_core::prelude::*;

/// A documented connector.
#[connector(id = "documented", options = DocumentedOptions, link_types = [Documented], tools = [DocumentedTool])]
#[derive(Default)]
pub struct DocumentedConnector;

/// A documented kind.
#[link_type]
pub enum Documented {
    /// Open.
    Open,
}

/// Documented options.
#[derive(Options)]
pub struct DocumentedOptions {
    /// Documented.
    pub live: bool,
}

/// Documented choices.
#[derive(Choices)]
pub enum DocumentedChoices {
    /// One.
    One,
}

/// A documented tool.
#[tool]
#[derive(Default)]
pub struct DocumentedTool;

impl Tool for DocumentedTool {}

#[connector]
impl Connector for DocumentedConnector {}

#[connector]
impl DocumentedConnector {
    /// A documented callback, whose message is documented by it.
    #[callback]
    pub async fn page(&self, cx: &Context<Self>, page: u32) -> Result<()> {
        cx.run_task(Page { page }).await?;
        Ok(())
    }
}
