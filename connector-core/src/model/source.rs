use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::Text;

/// The identity of an external item, the same in every connection that sees it.
///
/// Made from a namespace and the qualifiers that make an id unique: ids of many services are unique
/// only within a tenant, a repository or a channel, and some are reused (L20). Take ids that do not
/// change, not names.
///
/// ```
/// use connector_core::model::Source;
///
/// let source = Source::new("github", ["4711", "issue", "12"]);
/// assert_eq!(source.as_str(), "github:4711:issue:12");
/// assert_eq!(Source::new("mail", ["a:b"]).as_str(), "mail:a%3Ab");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Source(Text);

impl Source {
    /// A source in this namespace (the service), with qualifiers from the widest to the narrowest.
    pub fn new<Q: AsRef<str>>(namespace: &str, qualifiers: impl IntoIterator<Item = Q>) -> Self {
        let mut text = String::with_capacity(48);
        push_escaped(&mut text, namespace);
        for qualifier in qualifiers {
            text.push(':');
            push_escaped(&mut text, qualifier.as_ref());
        }
        Self(Text::new(text))
    }

    /// The source whose text this is, as an API or a store gives it.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(Text::new(text))
    }

    /// The text: namespace and qualifiers, with colons between.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The qualifiers, without the namespace, as they were given.
    pub fn qualifiers(&self) -> impl Iterator<Item = String> + '_ {
        self.as_str().split(':').skip(1).map(|part| part.replace("%3A", ":").replace("%25", "%"))
    }
}

fn push_escaped(text: &mut String, part: &str) {
    if !part.bytes().any(|byte| matches!(byte, b':' | b'%')) {
        return text.push_str(part);
    }
    for character in part.chars() {
        match character {
            ':' => text.push_str("%3A"),
            '%' => text.push_str("%25"),
            other => text.push(other),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({:?})", self.as_str())
    }
}
