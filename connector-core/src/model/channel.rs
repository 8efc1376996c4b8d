use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::ChannelId;
use crate::link_type::LinkTypeRefinement;

/// A resource of the service that a user enables for syncing: a repository, a team, a calendar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Channel {
    /// The service's id; in a combined connector it begins with the product's key and a colon.
    pub id: ChannelId,
    /// Shown.
    pub name: String,
    /// Shown below the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Channels within it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Channel>,
    /// Enabled with the connection; none leaves it to the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled_by_default: Option<bool>,
    /// What is different about link types in this channel (R1.8).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub link_types: Vec<LinkTypeRefinement>,
}

impl Channel {
    /// A channel with this id and name.
    pub fn new(id: impl Into<ChannelId>, name: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            description: None,
            children: Vec::new(),
            enabled_by_default: None,
            link_types: Vec::new(),
        }
    }

    /// With a description.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// With channels within it.
    pub fn children(mut self, children: impl IntoIterator<Item = Channel>) -> Self {
        self.children = children.into_iter().collect();
        self
    }

    /// Enabled, or not, with the connection.
    pub fn enabled_by_default(mut self, enabled: bool) -> Self {
        self.enabled_by_default = Some(enabled);
        self
    }

    /// With refined link types.
    pub fn link_types(mut self, link_types: impl IntoIterator<Item = LinkTypeRefinement>) -> Self {
        self.link_types = link_types.into_iter().collect();
        self
    }

    /// This channel and all within it, in depth-first order.
    pub fn flatten(&self) -> Vec<&Channel> {
        let mut all = vec![self];
        for child in &self.children {
            all.extend(child.flatten());
        }
        all
    }
}

impl AsRef<ChannelId> for Channel {
    fn as_ref(&self) -> &ChannelId {
        &self.id
    }
}

/// How a channel is enabled (R3.4).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SyncContext {
    /// Nothing older is kept (R8.7); none if there is no limit.
    pub earliest: Option<Timestamp>,
    /// The channel was enabled before, and the connection has been authorized again.
    pub recovering: bool,
    /// Only look: nothing is written back for this channel.
    pub observe_only: bool,
}
