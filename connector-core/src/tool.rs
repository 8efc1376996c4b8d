//! Tools: reusable parts of connectors, with callbacks, state, URLs and scopes of their own (R1.15).

use std::future::Future;

use serde::Serialize;

use crate::component::DeclaredTool;
use crate::context::Context;
use crate::error::Result;

/// Everything that `#[tool(…)]` on a struct says.
#[derive(Debug, Clone, Copy, Serialize)]
#[non_exhaustive]
pub struct ToolDeclaration {
    /// Stable id, in kebab-case; the namespace of its state and callbacks.
    pub id: &'static str,
    /// From the doc comment.
    pub description: &'static str,
    /// The URL patterns that it may reach, beside those of the connector.
    pub urls: &'static [&'static str],
    /// The scopes that it needs, beside those of the connector.
    pub scopes: &'static [&'static str],
    /// The tools that it uses.
    #[serde(skip)]
    pub tools: &'static [fn() -> &'static ToolDeclaration],
    /// Runs one of its hooks.
    #[serde(skip)]
    pub(crate) hooks: crate::dispatch::ToolHooks,
}

impl ToolDeclaration {
    /// A declaration with nothing but the id, for the hooks of `T`.
    pub const fn new<T: Tool>(id: &'static str) -> Self {
        Self { id, description: "", urls: &[], scopes: &[], tools: &[], hooks: crate::dispatch::ToolHooks::of::<T>() }
    }

    /// With its description.
    pub const fn description(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// With URL patterns.
    pub const fn urls(mut self, urls: &'static [&'static str]) -> Self {
        self.urls = urls;
        self
    }

    /// With scopes.
    pub const fn scopes(mut self, scopes: &'static [&'static str]) -> Self {
        self.scopes = scopes;
        self
    }

    /// With tools of its own.
    pub const fn tools(mut self, tools: &'static [fn() -> &'static ToolDeclaration]) -> Self {
        self.tools = tools;
        self
    }
}

/// The hooks of a tool. Those that begin with `pre` run depth-first before the connector's own
/// hook, those that begin with `post` run outermost-first after it.
#[allow(unused_variables, reason = "the defaults use none of what they get, and the names are documentation")]
pub trait Tool: DeclaredTool {
    /// Before the connector's `activate`.
    fn pre_activate(&self, cx: &Context<Self>) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// After the connector's `activate`.
    fn post_activate(&self, cx: &Context<Self>) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Before the connector's `upgrade`.
    fn pre_upgrade(&self, cx: &Context<Self>) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// After the connector's `upgrade`.
    fn post_upgrade(&self, cx: &Context<Self>) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Before the connector's `deactivate`.
    fn pre_deactivate(&self, cx: &Context<Self>) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// After the connector's `deactivate`.
    fn post_deactivate(&self, cx: &Context<Self>) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}
