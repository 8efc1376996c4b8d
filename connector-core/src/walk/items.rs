//! Items of a list, decoded one by one.

use std::fmt;
use std::marker::PhantomData;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::component::Component;
use crate::context::Context;

/// Longest part of an item that is kept of one that was left out, in bytes.
const MAX_RAW: usize = 1_000;

/// An item that was left out while its siblings were saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct LeftOut {
    /// When.
    pub at: Timestamp,
    /// Which item: its source, or its place in the list.
    pub item: String,
    /// What is wrong with it.
    pub reason: String,
    /// The beginning of what the service said of it. `None` means that it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
}

/// A list whose items are decoded one by one: one that is odd (a number that is a text, a null) does not lose its
/// siblings, its page and its channel.
///
/// It takes the place of a `Vec` in what is read from a service. [`take`](Self::take) gives the items, and reports the odd
/// ones: they are counted and shown with the declared work of the connection, with their place and what is wrong.
///
/// ```
/// # use connector_core::prelude::*;
/// use connector_core::walk::Items;
/// #[derive(Deserialize)]
/// struct Issue {
///     number: u64,
/// }
///
/// # async fn issues<C: connector_core::component::Component>(cx: &Context<C>) -> Result<Vec<Issue>> {
/// Ok(cx.provider().get("/issues").fetch::<Items<Issue>>().await?.take(cx))
/// # }
/// let found: Items<Issue> = serde_json::from_str(r#"[{ "number": 1 }, { "number": "seven" }, null]"#).unwrap();
/// assert_eq!(found.len(), 3);
/// ```
#[derive(Debug, Clone)]
#[must_use = "`take` gives the items, and reports the odd ones"]
pub struct Items<T> {
    pub(super) items: Vec<T>,
    pub(super) odd: Vec<Odd>,
}

/// An item that does not decode.
#[derive(Debug, Clone)]
pub(super) struct Odd {
    pub(super) place: usize,
    pub(super) reason: String,
    pub(super) raw: String,
}

impl<T> Items<T> {
    /// The number of items that the service has listed, the odd ones included.
    pub fn len(&self) -> usize {
        self.items.len() + self.odd.len()
    }

    /// Whether the service has listed none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether all items could be read: what is not among them is not there.
    pub fn is_whole(&self) -> bool {
        self.odd.is_empty()
    }

    /// The items that could be read. The odd ones are reported: a walk that met one is not complete.
    pub fn take<C: Component>(self, cx: &Context<C>) -> Vec<T> {
        let at = cx.now();
        for Odd { place, reason, raw } in self.odd {
            let item = format!("item {} of a list of {}", place + 1, std::any::type_name::<T>());
            cx.dispatch.leave_out(LeftOut { at, item, reason, raw: Some(raw) });
        }
        self.items
    }
}

impl<T> Default for Items<T> {
    fn default() -> Self {
        Self { items: Vec::new(), odd: Vec::new() }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Items<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneByOne<T>(PhantomData<T>);

        impl<'de, T: DeserializeOwned> Visitor<'de> for OneByOne<T> {
            type Value = Items<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut found = Items::default();
                while let Some(raw) = list.next_element::<Value>()? {
                    match serde_path_to_error::deserialize(&raw) {
                        Ok(item) => found.items.push(item),
                        Err(error) => {
                            let (place, path) = (found.len(), error.path().to_string());
                            let reason = match path.as_str() {
                                "." => error.into_inner().to_string(),
                                path => format!("{path}: {}", error.inner()),
                            };
                            found.odd.push(Odd { place, reason, raw: shortened(raw.to_string()) });
                        }
                    }
                }
                Ok(found)
            }
        }

        deserializer.deserialize_seq(OneByOne(PhantomData))
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > MAX_RAW {
        let end = (0..=MAX_RAW).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
        text.truncate(end);
        text.push('…');
    }
    text
}
