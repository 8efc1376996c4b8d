//! A callback, as valid as it can be made.

use proc_macro2::{Ident, Span, TokenStream};
use syn::{Attribute, Expr, LitStr, Type, Visibility};

use crate::callback::webhook::Webhook;

/// One callback of a block.
pub(crate) struct Callback {
    /// The `#[cfg(…)]`s of the method.
    pub(crate) cfgs: Vec<Attribute>,
    /// The doc comment of the method.
    pub(crate) docs: Vec<Attribute>,
    /// Who sees the message: whoever sees the method.
    pub(crate) vis: Visibility,
    /// The method.
    pub(crate) method: Ident,
    /// The message.
    pub(crate) message: Ident,
    /// The stable name.
    pub(crate) name: String,
    /// Former names.
    pub(crate) aliases: Vec<String>,
    /// Where the type of the context is written.
    pub(crate) context: Span,
    /// The bound arguments, in order.
    pub(crate) arguments: Vec<Argument>,
    /// What the invoker gives.
    pub(crate) input: Option<Type>,
    /// What the method returns, without `Self`.
    pub(crate) output: TokenStream,
    /// When it runs by itself.
    pub(crate) work: Work,
    /// The product whose channels it concerns, in place of all.
    pub(crate) product: Option<LitStr>,
}

/// A bound argument.
pub(crate) struct Argument {
    /// The field of the message.
    pub(crate) field: Ident,
    /// Its type, without `Self`.
    pub(crate) ty: Type,
    /// The doc comment of the parameter.
    pub(crate) docs: Vec<Attribute>,
    /// What stands in for it in arguments that were stored before there was the parameter.
    pub(crate) default: ArgumentDefault,
}

/// What stands in for an argument that was not stored.
pub(crate) enum ArgumentDefault {
    /// Nothing: it is required.
    None,
    /// `#[default]`
    OfType,
    /// `#[default(expression)]`
    Expression(Box<Expr>),
}

/// When a callback runs by itself.
pub(crate) enum Work {
    /// `#[callback]`
    None,
    /// `#[sync]`
    Sync { every: u64 },
    /// `#[drain]`
    Drain { batch: u32, delay: u64, max_attempts: u32 },
    /// `#[every]`
    Every { interval: u64 },
    /// `#[webhook]`
    Webhook(Webhook),
}

impl Callback {
    /// The argument that says which channel it concerns, if it may be one.
    pub(crate) fn channel(&self) -> Option<&Argument> {
        self.arguments.iter().find(|argument| argument.field == "channel")
    }

    /// Whether it has a URL of its own, which is registered at the service.
    pub(crate) fn is_subscribed(&self) -> bool {
        matches!(&self.work, Work::Webhook(webhook) if !webhook.is_of_app())
    }

    /// Whether it runs by itself, once for each scope.
    pub(crate) fn is_work(&self) -> bool {
        !matches!(self.work, Work::None)
    }
}
