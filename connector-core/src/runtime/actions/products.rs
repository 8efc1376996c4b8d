use schemars::JsonSchema;
use serde::Serialize;

use super::ActionError;
use crate::declaration::Declaration;
use crate::engine::{ChannelRow, ConnectionRow};
use crate::id::ConnectionId;
use crate::runtime::Runtime;

/// A product of a combined connector, as a connection has it (R1.10).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ProductView {
    /// Its key.
    pub key: &'static str,
    /// What it is called.
    pub label: &'static str,
    /// Whether it works.
    pub state: ProductState,
}

/// Whether a product works for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProductState {
    /// It was granted, and channels of it are enabled.
    Granted,
    /// The user declined its scopes.
    ScopeMissing,
    /// It was granted, and the account has no channels of it.
    NoChannels,
    /// It was granted, and none of its channels is enabled.
    Off,
}

impl Runtime {
    /// The products of a connection; none if its connector is not a combined one.
    pub async fn products(&self, id: ConnectionId) -> Result<Vec<ProductView>, ActionError> {
        let row = self.connection(id).await?;
        let connector = self.connector(&row.connector)?;
        let channels = self.shared.ports.engine.channels(id).await?;
        Ok(product_views(connector.declaration, &row, &channels))
    }
}

fn product_views(declaration: &Declaration, row: &ConnectionRow, channels: &[ChannelRow]) -> Vec<ProductView> {
    let views = declaration.products.iter().map(|product| {
        let own = |channel: &&ChannelRow| channel.channel.id.in_product(product.key).is_some();
        let mut own = channels.iter().filter(own).peekable();
        let state = if !declaration.grants(product, &row.account) {
            ProductState::ScopeMissing
        } else if own.peek().is_none() {
            ProductState::NoChannels
        } else if own.any(|channel| channel.enabled) {
            ProductState::Granted
        } else {
            ProductState::Off
        };
        ProductView { key: product.key, label: product.label, state }
    });
    views.collect()
}
