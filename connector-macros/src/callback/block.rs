//! An impl block with callbacks, of a connector or a tool.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{Ident, Type};

use crate::attrs;
use crate::callback::model::{Callback, Work};
use crate::callback::work::{Attr, Declared};
use crate::callback::{ATTRIBUTES, expand, signature};
use crate::case;
use crate::connector::HOOKS;
use crate::errors::Errors;
use crate::item::{Impl, Member, Method, ungroup};
use crate::paths::Paths;

/// What `connector_core::prelude` has: a message with such a name would stand in its place.
pub(super) const PRELUDE: &[&str] = &[
    "Account",
    "Action",
    "ActionButton",
    "Actor",
    "AttachedFile",
    "Attachment",
    "AttachmentRef",
    "Attendance",
    "Author",
    "Authorization",
    "BoundCallback",
    "Box",
    "Callback",
    "Channel",
    "ChannelId",
    "Choices",
    "Connector",
    "Contact",
    "ContactChanges",
    "Content",
    "Context",
    "CustomEmoji",
    "Date",
    "Deserialize",
    "Download",
    "Drained",
    "DynamicStatus",
    "Emoji",
    "Endpoint",
    "Error",
    "ErrorKind",
    "FileId",
    "GoneExt",
    "JsonSchema",
    "Link",
    "LinkChanges",
    "LinkDraft",
    "LinkFilter",
    "LinkPatch",
    "LinkType",
    "LinkTypeId",
    "LinkTypeRefinement",
    "Method",
    "Mode",
    "NewLink",
    "NewNote",
    "Note",
    "NoteFilter",
    "NoteKey",
    "NoteRef",
    "Option",
    "Options",
    "Patch",
    "Provider",
    "Reaction",
    "Recipient",
    "Registration",
    "Result",
    "ResultExt",
    "Schedule",
    "ScheduleKey",
    "Scheduled",
    "Secret",
    "Serialize",
    "SignedDuration",
    "Since",
    "Source",
    "StatusId",
    "Step",
    "String",
    "Subscription",
    "SyncContext",
    "TaskToken",
    "Thread",
    "Timestamp",
    "Tool",
    "UserId",
    "Vec",
    "Verified",
    "WebhookRequest",
    "When",
    "WriteBack",
];

/// Expands a block: the block without our attributes, then the messages, then the code that runs them.
pub(crate) fn expand(mut block: Impl, paths: &Paths, errors: Errors) -> TokenStream {
    block.check_not_generic("connector or tool", &errors);
    let self_ty = ungroup(&block.self_ty).clone();
    if !matches!(self_ty, Type::Path(_)) {
        errors.at(&self_ty, "callbacks are methods of a struct with `#[connector]` or `#[tool]`");
    }
    let mut callbacks = Vec::new();
    for member in &mut block.members {
        match member {
            Member::Method(method) => callbacks.extend(read(method, &self_ty, &errors)),
            Member::Macro(tokens) => errors.at(
                tokens,
                "callbacks that a macro makes here would not be seen: write the methods themselves, or move the macro to \
                 another `impl` block, without `#[connector]`",
            ),
            Member::Other(_) => {}
        }
    }
    check_names(&callbacks, &self_ty, &errors);
    let mut output = block.to_token_stream();
    output.extend(expand::messages(&callbacks, &self_ty, paths));
    if errors.is_empty() {
        output.extend(expand::dispatch(&callbacks, &self_ty, paths));
    }
    output.extend(errors.into_tokens());
    output
}

/// Takes our attributes off a method; one that has some is a callback.
fn read(method: &mut Method, self_ty: &Type, errors: &Errors) -> Option<Callback> {
    let found = ATTRIBUTES.iter().flat_map(|kind| {
        attrs::take(&mut method.attrs, kind).into_iter().map(|attr| Attr { kind, attr }).collect::<Vec<_>>()
    });
    let found: Vec<_> = found.collect();
    let (attr, more) = found.split_first()?;
    for other in more {
        let (first, second) = (attr.kind, other.kind);
        let message = match first == second {
            true => format!("`#[{first}]` is given twice"),
            false => {
                format!("a method is one kind of callback: keep `#[{first}]` or `#[{second}]`")
            }
        };
        errors.at(&other.attr, message);
    }
    let taken = signature::take_attributes(&mut method.sig);
    let name = &method.sig.ident;
    let Declared { work, name: stable, aliases, product } = Declared::parse(attr, name, errors);
    let parameters = signature::read(attr.kind, &method.sig, &taken, self_ty, errors);
    if let Some(Work::Webhook(webhook)) = &work
        && webhook.is_of_app()
        && let Some(channel) = parameters.arguments.first()
    {
        errors.at(&channel.field, "a webhook of the whole app knows no channel: read it from the request");
    }
    let callback = Callback {
        cfgs: attrs::cfgs(&method.attrs),
        docs: crate::docs::attributes(&method.attrs).cloned().collect(),
        vis: method.vis.clone(),
        method: name.clone(),
        message: message_name(name)?,
        name: stable,
        aliases,
        context: parameters.context,
        arguments: parameters.arguments,
        input: parameters.input,
        output: parameters.output,
        work: work.unwrap_or(Work::None),
        product,
    };
    check_reserved(name, &callback.message, errors);
    if let (Some(product), None) = (&callback.product, callback.channel()) {
        errors.at(product, "`product` says whose channels it runs for: it takes a `channel: ChannelId`");
    }
    Some(callback)
}

/// `sync_page` to `SyncPage`, shown at the method.
fn message_name(method: &Ident) -> Option<Ident> {
    let mut message: Ident = syn::parse_str(&case::camel(&method.unraw().to_string())).ok()?;
    message.set_span(method.span().resolved_at(Span::call_site()));
    Some(message)
}

fn check_reserved(method: &Ident, message: &Ident, errors: &Errors) {
    let name = method.unraw().to_string();
    if HOOKS.iter().any(|(hook, _)| *hook == name) {
        errors
            .at(method, format!("`{name}` is a hook: write it in `impl Connector`, or give the callback another name"));
    } else if PRELUDE.iter().any(|reserved| message == reserved) {
        errors.at(
            method,
            format!("the message of `{name}` would be `{message}`, in place of the `{message}` of the prelude: give the method another name"),
        );
    }
}

fn check_names(callbacks: &[Callback], self_ty: &Type, errors: &Errors) {
    // One that is there under a `#[cfg]` may have a twin under the opposite one.
    let always = || callbacks.iter().filter(|callback| callback.cfgs.is_empty());
    let names = always().flat_map(|callback| {
        std::iter::once(&callback.name).chain(&callback.aliases).map(|name| (name.clone(), callback.method.span()))
    });
    attrs::check_distinct(names, "callback name", errors);
    attrs::check_distinct(
        always().map(|callback| (callback.message.to_string(), callback.method.span())),
        "message name",
        errors,
    );
    if let Some(component) = crate::item::last_word(self_ty) {
        for callback in callbacks.iter().filter(|callback| callback.message == component) {
            errors.at(
                &callback.method,
                format!(
                    "the message of `{}` would be `{component}`, as the struct is: give the method another name",
                    callback.method
                ),
            );
        }
    }
}
