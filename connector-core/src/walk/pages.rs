//! Pages of a list, whichever way the service pages.

use std::fmt::Display;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Seen, short_hash};
use crate::error::{Error, Result};
use crate::network::Response;

/// Longest part of a page's place that an error shows, in characters.
const SHOWN: usize = 120;

/// Where a walk over the pages of a list is: at the first page, or at the one that the service has named.
///
/// What names the next page differs from service to service, and is one method here:
///
/// | the service names the next page by | next |
/// |---|---|
/// | a `Link` header (RFC 8288) | [`pages.after_link(&response)`](Self::after_link) |
/// | a cursor or token in the body | `pages.after(body.next_cursor)` |
/// | a URL in the body | `pages.after(body.next)` |
/// | nothing, pages have numbers | `pages.after(more.then_some(pages.number(1)? + 1))` |
/// | nothing, pages have offsets | `pages.after(more.then_some(pages.number(0)? + items.len() as u64))` |
///
/// A list that leads back to a page which the walk has already had has no end. That is an error of [`at`](Self::at) and
/// [`number`](Self::number), when the page would be asked for: what the pages before it gave is saved by then. The host
/// ends the walk with the error, and the next walk begins where this one began. The pages of the walk are kept as short
/// hashes, in bounded memory.
///
/// ```
/// use connector_core::walk::Pages;
///
/// let first = Pages::default();
/// assert_eq!(first.at().unwrap(), None);
/// let second = first.after(Some("b")).unwrap();
/// assert_eq!(second.at().unwrap(), Some("b"));
/// assert!(second.after(None::<&str>).is_none());
/// // A page whose next page is itself.
/// assert!(second.after(Some("b")).unwrap().at().is_err());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pages {
    /// What names the page. `None` means the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    /// The pages before it.
    #[serde(default)]
    seen: Seen,
}

impl Pages {
    /// What names the page: a URL, a cursor, a number. `None` means the first page.
    ///
    /// # Errors
    ///
    /// The walk has already had this page: the list has no end.
    pub fn at(&self) -> Result<Option<&str>> {
        let Some(at) = self.at.as_deref() else { return Ok(None) };
        if self.seen.contains(short_hash(at.as_bytes())) {
            let shown: String = at.chars().take(SHOWN).collect();
            return Err(Error::endless(format!(
                "the list leads back to a page that this walk has already had (`{shown}`): it has no end"
            )));
        }
        Ok(Some(at))
    }

    /// The number or offset of the page, of which the first page has this one.
    ///
    /// # Errors
    ///
    /// Those of [`at`](Self::at); and what names the page is no number.
    pub fn number(&self, first: u64) -> Result<u64> {
        let number = self.at()?.map(str::parse).transpose();
        let number = number.map_err(|error| Error::bug("the page is not named by a number").with_source(error))?;
        Ok(number.unwrap_or(first))
    }

    /// The page after this one. `None`, as an empty text, means that this was the last page.
    pub fn after(&self, next: Option<impl Display>) -> Option<Self> {
        let next = next?.to_string();
        if next.is_empty() {
            return None;
        }
        let mut seen = self.seen.clone();
        seen.push(short_hash(self.at.as_deref().unwrap_or_default().as_bytes()));
        Some(Self { at: Some(next), seen })
    }

    /// The page after this one by the `Link` header of its response. `None` means that this was the last page.
    pub fn after_link(&self, response: &Response) -> Option<Self> {
        let mut after = self.after(response.next_page())?;
        // The service may name the first page, which the walk asked for by another URL.
        after.seen.push(short_hash(response.url.as_str().as_bytes()));
        Some(after)
    }
}
