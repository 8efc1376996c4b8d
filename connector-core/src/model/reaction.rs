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
    /// A unicode emoji, in its standard form if there is one ([`Emoji::standard`]).
    pub fn unicode(text: impl Into<String>) -> Self {
        let text = text.into();
        standard(&text).map_or(Self::Unicode(text), |emoji| Self::Unicode(emoji.to_owned()))
    }

    /// A custom emoji, by name.
    pub fn custom(name: impl Into<String>) -> Self {
        Self::Custom { custom: name.into() }
    }

    /// The emoji in the one form that tells it from others. `None` if it is no emoji.
    ///
    /// Unicode has emoji in several forms, with and without variation selectors, which are the same emoji
    /// (UTS 51, `emoji-variation-sequences.txt`): the standard form is the fully qualified one.
    ///
    /// ```
    /// # use connector_core::model::Emoji;
    /// assert_eq!(Emoji::Unicode("\u{2764}".to_owned()).standard(), Some(Emoji::unicode("\u{2764}\u{fe0f}")));
    /// assert_eq!(Emoji::unicode("heart").standard(), None);
    /// ```
    pub fn standard(&self) -> Option<Self> {
        match self {
            Self::Custom { custom } => (!custom.is_empty()).then(|| self.clone()),
            Self::Unicode(text) => standard(text).map(|emoji| Self::Unicode(emoji.to_owned())),
        }
    }
}

fn standard(text: &str) -> Option<&'static str> {
    let found = emojis::get(text).or_else(|| emojis::get(&text.replace(['\u{FE0E}', '\u{FE0F}'], "")));
    found.map(emojis::Emoji::as_str)
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
        Self { emoji: emoji.standard().unwrap_or(emoji), actor }
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
