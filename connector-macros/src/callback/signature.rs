//! Reads the signature of a callback: `&self`, the context, the bound arguments, the input.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Expr, FnArg, Meta, Pat, PatType, ReceiverKind, ReturnType, Safety, Signature, Type};

use crate::attrs;
use crate::callback::model::{Argument, ArgumentDefault};
use crate::errors::Errors;
use crate::item;

/// What a signature says.
pub(crate) struct Parameters {
    /// Where the type of the context is written.
    pub(crate) context: Span,
    /// The bound arguments, in order.
    pub(crate) arguments: Vec<Argument>,
    /// What the invoker gives.
    pub(crate) input: Option<Type>,
    /// What it returns, without `Self`.
    pub(crate) output: TokenStream,
}

/// A parameter behind the context, with our attributes taken off.
struct Parameter {
    pat: Pat,
    ty: Type,
    docs: Vec<Attribute>,
    input: Option<Attribute>,
    default: Option<Attribute>,
}

/// Takes our attributes off the parameters of a method, so that what is left can be compiled.
pub(crate) fn take_attributes(sig: &mut Signature) -> Vec<Vec<Attribute>> {
    let ours = |attr: &Attribute| {
        attr.path().is_ident("doc") || attrs::is_ours(attr, "input") || attrs::is_ours(attr, "default")
    };
    sig.inputs
        .iter_mut()
        .map(|input| match input {
            FnArg::Typed(typed) => typed.attrs.extract_if(.., |attr| ours(attr)).collect(),
            FnArg::Receiver(_) => Vec::new(),
        })
        .collect()
}

/// Reads a signature, with the attributes that [`take_attributes`] took off. What is wrong is
/// reported, and left out.
pub(crate) fn read(
    kind: &str,
    sig: &Signature,
    taken: &[Vec<Attribute>],
    self_ty: &Type,
    errors: &Errors,
) -> Parameters {
    check_form(kind, sig, errors);
    let mut context = sig.ident.span();
    let mut inputs = sig.inputs.iter().zip(taken).peekable();
    match inputs.peek() {
        Some((FnArg::Receiver(receiver), _)) => {
            if !matches!(receiver.kind, ReceiverKind::Reference(_, _, None)) {
                errors.at(receiver, format!("a `#[{kind}]` takes `&self`: the connector is shared by all connections"));
            }
            inputs.next();
        }
        _ => errors.at(&sig.ident, format!("`{}` needs `&self` first: {}", sig.ident, shape(kind, sig))),
    }
    match inputs.peek() {
        Some((FnArg::Typed(typed), _)) if is_context(typed) => {
            context = typed.ty.span();
            inputs.next();
        }
        Some((FnArg::Typed(typed), _)) => {
            // One that is taken by value is no argument to be stored: that would be reported once more.
            let by_value = item::last_word(item::ungroup(&typed.ty)).as_deref() == Some("Context");
            if by_value {
                inputs.next();
            }
            errors.at(typed, format!("the context comes first, as `cx: &Context<Self>`: {}", shape(kind, sig)));
        }
        _ => errors.at(
            &sig.ident,
            format!("`{}` needs the context, as `cx: &Context<Self>`: {}", sig.ident, shape(kind, sig)),
        ),
    }
    let parameters = inputs.filter_map(|(input, taken)| match input {
        FnArg::Typed(typed) => Some(Parameter::read(typed, taken, self_ty, errors)),
        FnArg::Receiver(_) => None,
    });
    let parameters: Vec<_> = parameters.collect();
    let (arguments, input) = match kind {
        "callback" => plain(parameters, self_ty, errors),
        _ => declared(kind, sig, parameters, self_ty, errors),
    };
    let output = match &sig.output {
        ReturnType::Default => {
            let give = match kind {
                "sync" => "`Result<Step<Cursor>>`",
                "drain" => "`Result<Drained<Id>>`",
                _ => "`Result<()>`",
            };
            errors.at(
                &sig.ident,
                format!("`{}` returns nothing: return {give}, so that what goes wrong reaches the host", sig.ident),
            );
            quote!(::core::result::Result<(), ::core::fmt::Error>)
        }
        ReturnType::Type(_, ty) => item::without_self(ty, self_ty),
    };
    attrs::check_distinct(
        arguments.iter().map(|argument| (argument.field.to_string(), argument.field.span())),
        "parameter",
        errors,
    );
    Parameters { context, arguments, input, output }
}

/// The whole signature, for messages.
fn shape(kind: &str, sig: &Signature) -> String {
    let (rest, output) = match kind {
        "sync" => ("channel: ChannelId, after: Option<Cursor>", "Step<Cursor>"),
        "drain" => ("channel: ChannelId, ids: Vec<Id>", "Drained<Id>"),
        "every" => ("channel: ChannelId", "()"),
        "webhook" => ("channel: ChannelId, #[input] request: Verified<WebhookRequest>", "()"),
        _ => ("…", "…"),
    };
    format!("`async fn {}(&self, cx: &Context<Self>, {rest}) -> Result<{output}>`", sig.ident)
}

fn check_form(kind: &str, sig: &Signature, errors: &Errors) {
    if sig.asyncness.is_none() {
        errors.at(sig.fn_token, format!("a `#[{kind}]` is an `async fn`: {}", shape(kind, sig)));
    }
    if let Some(constness) = &sig.constness {
        errors.at(constness, format!("a `#[{kind}]` cannot be `const`"));
    }
    if let Safety::Unsafe(token) = &sig.safety {
        errors.at(token, format!("a `#[{kind}]` cannot be `unsafe`: the host calls it"));
    }
    if let Some(abi) = &sig.abi {
        errors.at(abi, format!("a `#[{kind}]` cannot be `extern`"));
    }
    if !sig.generics.params.is_empty() {
        errors.at(
            &sig.generics,
            format!("a `#[{kind}]` cannot be generic: its arguments are stored, so their types are known"),
        );
    }
    if let Some(clause) = &sig.generics.where_clause {
        errors.at(clause, format!("a `#[{kind}]` cannot have a `where` clause"));
    }
}

/// Whether a parameter is meant to be the context; its exact type is checked where the method is called.
fn is_context(typed: &PatType) -> bool {
    let Type::Reference(reference) = item::ungroup(&typed.ty) else {
        return false;
    };
    let named = matches!(&*typed.pat, Pat::Ident(pat) if matches!(pat.ident.to_string().as_str(), "cx" | "_cx"));
    named || item::last_word(&reference.elem).as_deref() == Some("Context")
}

impl Parameter {
    fn read(typed: &PatType, taken: &[Attribute], self_ty: &Type, errors: &Errors) -> Self {
        for cfg in typed.attrs.iter().filter(|attr| attr.path().is_ident("cfg")) {
            errors.at(cfg, "a parameter of a callback is stored, so it cannot come and go: put `#[cfg]` on the method");
        }
        let find = |name: &str| {
            let mut found = taken.iter().filter(|attr| attrs::is_ours(attr, name));
            let first = found.next();
            if let Some(second) = found.next() {
                errors.at(second, format!("`#[{name}]` is given twice"));
            }
            first.cloned()
        };
        let ty = item::ungroup(&typed.ty);
        match ty {
            Type::Reference(reference) => errors.at(
                reference,
                format!(
                    "a callback's arguments are stored with it, so it cannot borrow: take {}",
                    owned(&reference.elem)
                ),
            ),
            Type::ImplTrait(_) => errors.at(ty, "a callback's arguments are stored with it: write the type itself"),
            ty if item::borrows(ty) => errors.at(
                ty,
                "a callback's arguments are stored with it, so it cannot borrow: take an owned type, such as `String`",
            ),
            _ => {}
        }
        let ty = match ty {
            // It has been reported; as a field it would be reported again, in words that say less.
            Type::Reference(_) | Type::ImplTrait(_) => syn::parse_quote!(()),
            ty if item::borrows(ty) => syn::parse_quote!(()),
            ty => syn::parse2(item::without_self(ty, self_ty)).unwrap_or_else(|_| ty.clone()),
        };
        Self {
            pat: (*typed.pat).clone(),
            ty,
            docs: taken.iter().filter(|attr| attr.path().is_ident("doc")).cloned().collect(),
            input: find("input"),
            default: find("default"),
        }
    }

    /// The parameter as a field. The underscore of one that is not used is no part of its name.
    fn into_argument(self, self_ty: &Type, errors: &Errors) -> Option<Argument> {
        let field = match &self.pat {
            Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => pat.ident.clone(),
            pat => {
                errors.at(
                    pat,
                    "a callback's arguments are stored by name: write a plain name here, and take it apart in the body",
                );
                return None;
            }
        };
        let name = field.to_string();
        let trimmed = name.trim_start_matches('_');
        let field = if trimmed == name { field } else { field_named(trimmed, &field)? };
        let default = match &self.default {
            None => ArgumentDefault::None,
            Some(attr) => default(attr, self_ty, errors),
        };
        Some(Argument { field, ty: self.ty, docs: self.docs, default })
    }

    fn into_input(self, errors: &Errors) -> Type {
        if let Some(attr) = &self.default {
            errors.at(attr, "an input is always given, so it has no default");
        }
        self.ty
    }

    fn is_channel(&self) -> bool {
        let named =
            matches!(&self.pat, Pat::Ident(pat) if pat.ident.unraw().to_string().trim_start_matches('_') == "channel");
        named || item::last_word(&self.ty).as_deref() == Some("ChannelId")
    }
}

fn field_named(name: &str, like: &Ident) -> Option<Ident> {
    let mut field: Ident = syn::parse_str(name).or_else(|_| syn::parse_str(&format!("r#{name}"))).ok()?;
    field.set_span(like.span());
    Some(field)
}

/// The owned type that `&ty` is usually taken from.
fn owned(ty: &Type) -> String {
    match ungrouped_text(ty).as_str() {
        "str" => "`String`".to_owned(),
        text => match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            Some(element) => format!("`Vec<{element}>`"),
            None => format!("`{text}`"),
        },
    }
}

fn ungrouped_text(ty: &Type) -> String {
    item::ungroup(ty).to_token_stream().to_string().replace(' ', "")
}

fn default(attr: &Attribute, self_ty: &Type, errors: &Errors) -> ArgumentDefault {
    match &attr.meta {
        Meta::Path(_) => ArgumentDefault::OfType,
        Meta::List(list) => match syn::parse2::<Expr>(item::without_self(&list.tokens, self_ty)) {
            Ok(expression) => ArgumentDefault::Expression(Box::new(expression)),
            Err(_) => {
                errors.at(attr, "write `#[default]`, or `#[default(expression)]`");
                ArgumentDefault::OfType
            }
        },
        Meta::NameValue(_) => {
            errors.at(attr, "write `#[default(…)]`, with the value in parentheses");
            ArgumentDefault::OfType
        }
    }
}

fn plain(parameters: Vec<Parameter>, self_ty: &Type, errors: &Errors) -> (Vec<Argument>, Option<Type>) {
    let last = parameters.len().saturating_sub(1);
    let mut arguments = Vec::new();
    let mut input = None;
    for (index, parameter) in parameters.into_iter().enumerate() {
        match &parameter.input {
            None => {
                if parameter.is_channel() && item::last_word(&parameter.ty).as_deref() == Some("String") {
                    errors.at(
                        &parameter.ty,
                        "a channel is a `ChannelId`: the task then waits with the channel, and ends with it; for anything else, give the parameter another name",
                    );
                }
                arguments.extend(parameter.into_argument(self_ty, errors));
            }
            Some(attr) => {
                if index != last {
                    errors.at(
                        attr,
                        "the input comes last: it is given when the callback is invoked, the others are bound before",
                    );
                }
                if !matches!(attr.meta, Meta::Path(_)) {
                    errors.at(attr, "`#[input]` takes no arguments");
                }
                input = Some(parameter.into_input(errors));
            }
        }
    }
    (arguments, input)
}

/// The parameters of work that the host starts: it knows the channel, and nothing else.
fn declared(
    kind: &str,
    sig: &Signature,
    mut parameters: Vec<Parameter>,
    self_ty: &Type,
    errors: &Errors,
) -> (Vec<Argument>, Option<Type>) {
    let takes = match kind {
        "sync" => Some("its cursor last: `after: Option<Cursor>`"),
        "drain" => Some("the ids last: `ids: Vec<Id>`"),
        "webhook" => Some("the request last: `#[input] request: Verified<WebhookRequest>`"),
        _ => None,
    };
    let input = match (takes, parameters.pop_if(|last| takes.is_some() && !last.is_channel())) {
        (Some(takes), None) => {
            errors.at(&sig.ident, format!("a `#[{kind}]` takes {takes}"));
            None
        }
        (_, input) => input.map(|input| input.into_input(errors)),
    };
    if let Some(ty) = &input
        && kind == "webhook"
        && item::last_word(ty).as_deref() == Some("WebhookRequest")
    {
        errors
            .at(ty, "a request is handed over when it has been verified: `#[input] request: Verified<WebhookRequest>`");
    }
    let mut arguments: Vec<Argument> = Vec::new();
    for parameter in parameters {
        if let Some(attr) = &parameter.input {
            let message = match takes {
                Some(takes) => format!("a `#[{kind}]` takes {takes}"),
                None => format!("a `#[{kind}]` takes no input: the host starts it by itself"),
            };
            errors.at(attr, message);
        } else if arguments.is_empty() && matches!(&parameter.pat, Pat::Ident(_)) && parameter.is_channel() {
            arguments.extend(parameter.into_argument(self_ty, errors).map(|argument| channel(argument, errors)));
        } else {
            errors.at(
                &parameter.pat,
                format!(
                    "a `#[{kind}]` takes no other argument than `channel: ChannelId`: the host starts it once for each scope, \
                     which is a channel, or the connection where there is no `channel`"
                ),
            );
        }
    }
    (arguments, input)
}

fn channel(argument: Argument, errors: &Errors) -> Argument {
    if argument.field != "channel" {
        errors.at(&argument.field, "the parameter with the channel is named `channel`");
    }
    if !matches!(argument.default, ArgumentDefault::None) {
        errors.at(&argument.field, "`channel` cannot have a default: the host always gives it");
    }
    argument
}
