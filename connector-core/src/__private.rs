//! What the macros emit calls to. Not part of the public API: it changes without notice.

pub use inventory;
pub use serde_json;

pub use crate::callback::{BoundCallback, CallbackArgument, CallbackInput, CallbackReturn, CalledCallback};
pub use crate::clock::BoxFuture;
pub use crate::component::{Component, Declared, DeclaredTool, UsesTool};
pub use crate::connector::Connector;
pub use crate::context::Context;
pub use crate::declaration::{
    ChannelRules, CustomProvider, Declaration, Hooks, Noun, Product, Provider, ScopeGroup, Scopes,
};
pub use crate::dispatch::{
    Call, CallbackBlock, CallbackEntry, HooksOf, Registration, Returned, no_such_callback, returned, returned_drain,
    returned_step,
};
pub use crate::error::Result;
pub use crate::generated::{
    JsonOutput, KnownSchema, NamedSchema, OtherOutput, Output, Stored, callback_argument, callback_future_must_be_send,
    callback_input, link_meta, tool_declaration,
};
pub use crate::id::ChannelId;
pub use crate::link_type::{
    Compose, ComposeTarget, ContactRole, LinkMeta, LinkType, LinkTypeDeclaration, Logos, Reactions, Sharing,
    StatusDeclaration, StatusIcon, Supports,
};
pub use crate::network::{FailureFn, Methods, QuotaDeclaration, RequestPattern};
pub use crate::options::{
    Choice, Choices, Field, FieldDefault, FieldKind, FieldSettings, OptionErrors, OptionField, OptionReader, Options,
    OptionsDeclaration, TypedField,
};
pub use crate::schema::ArgumentsSchema;
pub use crate::tool::{Tool, ToolDeclaration};
pub use crate::value::arguments::{ArgumentWriter, Decoded, Encoded, argument, no_argument, read_arguments};
pub use crate::webhook::{Handshake, Tenant, TenantFn, Verified, Verify, VerifyFn, WebhookDeclaration, WebhookRequest};
pub use crate::work::{DrainCallback, Drained, Step, SubscriptionFns, SyncCallback, Work};
