use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Actor;

/// An emoji that someone reacts with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Emoji {
    /// A custom emoji of the service's workspace, by name.
    Custom {
        /// The name, without colons.
        custom: String,
    },
    /// A unicode emoji.
    Unicode(String),
}

impl Emoji {
    /// A unicode emoji.
    pub fn unicode(text: impl Into<String>) -> Self {
        Self::Unicode(text.into())
    }

    /// A custom emoji, by name.
    pub fn custom(name: impl Into<String>) -> Self {
        Self::Custom { custom: name.into() }
    }
}

impl fmt::Display for Emoji {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unicode(text) => f.write_str(text),
            Self::Custom { custom } => write!(f, ":{custom}:"),
        }
    }
}

/// Who reacted to a note, and with what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reaction {
    /// With what.
    pub emoji: Emoji,
    /// Who.
    pub actor: Actor,
}

impl Reaction {
    /// This actor reacted with this emoji.
    pub fn new(emoji: Emoji, actor: Actor) -> Self {
        Self { emoji, actor }
    }
}

/// A custom emoji of the service's workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomEmoji {
    /// The name, without colons.
    pub name: String,
    /// URL of the picture.
    pub url: String,
}
