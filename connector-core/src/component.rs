//! What has callbacks, state and a context: connectors and tools.

use crate::declaration::Declaration;
use crate::options::Options;
use crate::tool::ToolDeclaration;

/// A connector or a tool; implemented by `#[connector]` and `#[tool]` on a struct.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not declared as a connector or tool",
    label = "has no `#[connector(…)]` on its struct",
    note = "callbacks belong to a declared connector or tool: put `#[connector]` (or `#[tool]`) on `struct {Self}`"
)]
pub trait Component: Send + Sync + Sized + 'static {
    /// The options that its context carries; `()` for a tool.
    type Options: Options;

    /// Empty for a connector; the id of a tool, whose callbacks and state are kept apart by it.
    const NAMESPACE: &'static str;

    /// The one value of it. It is shared by all connections and keeps no state of theirs.
    fn instance() -> &'static Self;
}

/// A declared connector; implemented by `#[connector]` on a struct.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not declared as a connector",
    label = "has no `#[connector(…)]` on its struct",
    note = "put `#[connector]` on `struct {Self}`"
)]
pub trait Declared: Component {
    /// What it declares.
    const DECLARATION: &'static Declaration;
}

/// A declared tool; implemented by `#[tool]` on a struct.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not declared as a tool",
    label = "has no `#[tool(…)]` on its struct",
    note = "put `#[tool]` on `struct {Self}`"
)]
pub trait DeclaredTool: Component {
    /// What it declares.
    const DECLARATION: &'static ToolDeclaration;
}

/// A connector or a tool that declares this tool; implemented by `tools = […]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not declare the tool `{T}`",
    label = "not in `tools` of `{Self}`",
    note = "add it: `tools = [{T}]`"
)]
pub trait UsesTool<T> {}
