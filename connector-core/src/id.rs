//! Identifiers. Each kind of thing has a type of its own, so that one cannot be
//! given where another is meant.

use std::borrow::{Borrow, Cow};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not an identifier of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {kind} id: {expected}")]
pub struct ParseIdError {
    kind: &'static str,
    text: String,
    expected: &'static str,
}

/// A text that is cloned often and never changed.
#[derive(Clone)]
pub(crate) enum Text {
    /// Known when the program is compiled.
    Static(&'static str),
    /// Shared by all clones.
    Shared(Arc<str>),
}

impl Text {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self::Shared(text.into().into())
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Static(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::Shared(Cow::<'de, str>::deserialize(deserializer)?.into()))
    }
}

impl JsonSchema for Text {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        String::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }
}

/// Makes an id whose text is chosen by a service, a connector or the embedding product.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        #[schemars(transparent)]
        pub struct $name(Text);

        impl $name {
            /// Takes the text as it is.
            pub fn new(text: impl Into<String>) -> Self {
                Self(Text::new(text))
            }

            /// Takes a text that is known when the program is compiled.
            pub const fn from_static(text: &'static str) -> Self {
                Self(Text::Static(text))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), self.as_str())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl AsRef<$name> for $name {
            fn as_ref(&self) -> &$name {
                self
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self::new(text)
            }
        }
    };
}

/// Makes an id that the host hands out: a number, written with a prefix that tells its kind.
macro_rules! host_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(i64);

        impl $name {
            /// The id with this number. Only the host hands out new ones.
            pub const fn from_number(number: i64) -> Self {
                Self(number)
            }

            /// The number, as the engines store it.
            pub const fn number(self) -> i64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                text.strip_prefix(concat!($prefix, "_"))
                    .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
                    .and_then(|digits| digits.parse().ok())
                    .map(Self)
                    .ok_or_else(|| ParseIdError {
                        kind: $kind,
                        text: text.chars().take(64).collect(),
                        expected: concat!("it looks like `", $prefix, "_12`"),
                    })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "pattern": concat!("^", $prefix, "_[0-9]+$")})
            }
        }
    };
}

text_id!(
    /// A connector, by the id that it declares: `github`.
    ConnectorId
);
text_id!(
    /// A channel, by the id that the service gives it (with the product's prefix in a combined connector).
    ChannelId
);
text_id!(
    /// A user of the embedding product; opaque to the framework.
    UserId
);
text_id!(
    /// A workspace of the embedding product: the users that may share one credential.
    WorkspaceId
);
text_id!(
    /// A link type of a connector: `issue`.
    LinkTypeId
);
text_id!(
    /// A status of a link type: `open`.
    StatusId
);
text_id!(
    /// A note within its thread and link, by the id that the service gives it.
    NoteKey
);
text_id!(
    /// A schedule within its link, by the id that the service gives it.
    ScheduleKey
);

host_id!(
    /// One installed instance of a connector.
    ConnectionId, "con", "connection"
);
host_id!(
    /// A thread: the container that links and their notes live in.
    ThreadId, "thr", "thread"
);
host_id!(
    /// A link as one connection sees it.
    LinkId, "lnk", "link"
);
host_id!(
    /// A note as one connection sees it.
    NoteId, "not", "note"
);
host_id!(
    /// One durable execution of a callback or hook.
    TaskId, "tsk", "task"
);
host_id!(
    /// One request that a service pushed, as it was received.
    DeliveryId, "dlv", "delivery"
);
host_id!(
    /// A file that a user attached.
    FileId, "fil", "file"
);

impl ChannelId {
    /// A channel of a product of a combined connector (R1.10), by the id that the service gives it.
    pub fn of_product(product: &str, id: &str) -> Self {
        Self::new(format!("{product}:{id}"))
    }

    /// The service's id of a channel of this product; none of a channel of another.
    pub fn in_product(&self, product: &str) -> Option<&str> {
        self.as_str().strip_prefix(product)?.strip_prefix(':')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_ids_are_written_and_read_with_their_prefix() {
        let id = ConnectionId::from_number(12);
        assert_eq!(id.to_string(), "con_12");
        assert_eq!("con_12".parse(), Ok(id));
        for wrong in ["12", "thr_12", "con_", "con_-1", "con_+1", "con_99999999999999999999"] {
            let error = wrong.parse::<ConnectionId>().expect_err(wrong);
            assert!(error.to_string().contains("con_12"), "{error}");
        }
    }
}
