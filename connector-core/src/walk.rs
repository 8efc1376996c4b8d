//! What the walk over a list of a service needs, whatever the service: a watermark, pages, and items that are decoded
//! one by one.
//!
//! A `#[sync]` keeps these types in its cursor:
//!
//! - [`Since`]: what changed before a time is known. The watermark is taken from the times that the service gives, and
//!   never lies in the future.
//! - [`Pages`]: which page of the list comes next, by a `Link` header, a number, an offset, a cursor or a URL. A list
//!   that leads back to a page which the walk has already had ends with an error.
//! - [`Items`]: the items of a page. One that does not decode is left out and reported, and its siblings are saved.
//!
//! A sync that walks over changes, newest change first or last:
//!
//! ```
//! use connector_core::prelude::*;
//! use connector_core::walk::{Items, Pages};
//!
//! # /// Notes.
//! # #[connector(provider = Notion, scopes = [], urls = ["https://api.notion.com/*"], link_types = [Page])]
//! # #[derive(Default)]
//! # struct Notes;
//! # /// A page.
//! # #[link_type(label = "Page")]
//! # struct Page;
//! # #[connector]
//! # impl Connector for Notes {}
//! # #[derive(Deserialize)]
//! # struct ApiPage { id: String, title: String, created: Timestamp, changed: Timestamp }
//! # impl ApiPage {
//! #     fn link(&self, channel: &ChannelId) -> NewLink {
//! #         let author = Author::system("the notes do not say");
//! #         NewLink::new(Page, Source::new("notes", [&self.id]), channel, author, self.created).title(&self.title)
//! #     }
//! # }
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct Walk {
//!     since: Since,
//!     pages: Pages,
//! }
//!
//! #[connector]
//! impl Notes {
//!     /// The pages that have changed.
//!     #[sync(every = "15m")]
//!     async fn changes(&self, cx: &Context<Self>, channel: ChannelId, after: Option<Walk>) -> Result<Step<Walk>> {
//!         let first = || Walk { since: Since::new(cx.integrations().history(90)), pages: Pages::default() };
//!         let Walk { mut since, pages } = after.unwrap_or_else(first);
//!         let request = match pages.at()? {
//!             Some(url) => cx.provider().get(url),
//!             None => cx.provider().get("/pages").query("changed_since", since.start(cx.now())),
//!         };
//!         let response = request.send().await?;
//!         let mut found = response.json::<Items<ApiPage>>()?.take(cx);
//!         found.retain(|page| since.is_new(cx.now(), page.changed, &page.id));
//!         cx.integrations().save_links(found.iter().map(|page| page.link(&channel))).await?;
//!         Ok(match pages.after_link(&response) {
//!             Some(pages) => Step::Next(Walk { since, pages }),
//!             None => Step::Done(Walk { since: since.ended(), pages: Pages::default() }),
//!         })
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! A walk that has met everything that there is ends with [`Step::Complete`](crate::work::Step::Complete), and what it
//! did not meet is archived.

mod items;
mod pages;
mod seen;
mod since;
#[cfg(test)]
mod tests;

pub use items::{Items, LeftOut};
pub use pages::Pages;
pub use since::Since;

pub(crate) use seen::{Seen, short_hash};
