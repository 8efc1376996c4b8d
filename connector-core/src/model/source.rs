use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
pub struct Source(String);

impl Source {
    /// A source in this namespace (the service), with qualifiers from the widest to the narrowest.
    pub fn new<Q: AsRef<str>>(namespace: &str, qualifiers: impl IntoIterator<Item = Q>) -> Self {
        let mut text = String::with_capacity(48);
        push_escaped(&mut text, namespace);
        for qualifier in qualifiers {
            text.push(':');
            push_escaped(&mut text, qualifier.as_ref());
        }
        Self(text)
    }

    /// The source whose text this is, as an API or a store gives it.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text: namespace and qualifiers, with colons between.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The qualifiers, without the namespace, as they were given.
    pub fn qualifiers(&self) -> impl Iterator<Item = String> + '_ {
        self.0.split(':').skip(1).map(|part| part.replace("%3A", ":").replace("%25", "%"))
    }
}

fn push_escaped(text: &mut String, part: &str) {
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
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({:?})", self.0)
    }
}
