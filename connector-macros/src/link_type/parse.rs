//! Reads `#[link_type(…)]` and the item below it, and checks both.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::punctuated::Punctuated;
use syn::{Attribute, Fields, Generics, Item, LitStr, Path, Token};

use super::{Compose, ContactRole, LinkType, Status, Supports};
use crate::attrs::{self, Arg, Args};
use crate::errors::Errors;
use crate::reactions::Reactions;
use crate::{case, did_you_mean, docs};

const ARGUMENTS: &[&str] = &[
    "id",
    "label",
    "source_name",
    "note_label",
    "compose_label",
    "reply_label",
    "logos",
    "sharing",
    "assignee",
    "schedules",
    "contact_roles",
    "supports",
    "compose",
    "reactions",
    "meta",
    "crate",
];
const STATUS_ARGUMENTS: &[&str] = &["id", "label", "icon", "done", "todo", "active", "hidden"];
const ICONS: &[&str] = &["Backlog", "Todo", "InProgress", "Blocked", "Done", "Cancelled", "Confirmed", "Tentative"];
const SHARING: &[&str] = &["Channel", "Thread", "Message", "None"];
/// What is written, and the variant of core's `ComposeTarget`.
const TARGETS: &[(&str, &str)] = &[("channels", "Channels"), ("contacts", "Contacts"), ("addresses", "Addresses")];
/// What a status is compared and copied with.
const DERIVES: &[(&str, &str)] =
    &[("Clone", "clone"), ("Copy", "marker"), ("PartialEq", "cmp"), ("Eq", "cmp"), ("Debug", "fmt")];

/// Gives the item to emit, without our attributes and with the derives that it needs, and the
/// declaration unless there is no telling what it is.
pub(super) fn item(item: TokenStream, args: &Args, errors: &Errors) -> (TokenStream, Option<LinkType>) {
    args.check("`#[link_type]`", ARGUMENTS, &[], errors);
    let mut parsed: Item = match syn::parse2(item.clone()) {
        Ok(parsed) => parsed,
        Err(error) => {
            errors.push(error);
            return (item, None);
        }
    };
    let link_type = match &mut parsed {
        Item::Enum(item) => {
            let statuses = statuses(&mut item.variants, errors);
            if item.variants.is_empty() {
                let name = &item.ident;
                errors
                    .at(name, format!("`{name}` has no variants; for a kind without statuses write `struct {name};`"));
            }
            let copies = statuses.iter().all(|status| status.is_unit);
            let plain = is_plain(&item.ident, &item.generics, errors);
            let link_type = declaration(&item.ident, &item.attrs, statuses, args, errors);
            add_derives(&mut item.attrs, copies && plain);
            // Without `Copy` the impl would be a second error for the same mistake.
            (plain && copies).then_some(link_type)
        }
        Item::Struct(item) => {
            let name = &item.ident;
            let is_unit = matches!(item.fields, Fields::Unit);
            if !is_unit {
                let problem = format!(
                    "`{name}` has fields; a link type is an enum of its statuses, or `struct {name};` without any: what the service says of an item goes into `meta`"
                );
                errors.at(&item.fields, problem);
            }
            let plain = is_plain(name, &item.generics, errors) && is_unit;
            let mut link_type = declaration(name, &item.attrs, Vec::new(), args, errors);
            link_type.is_struct = true;
            add_derives(&mut item.attrs, plain);
            plain.then_some(link_type)
        }
        other => {
            errors.at(
                &*other,
                "`#[link_type]` stands on an enum of statuses, or on a unit struct for a kind without statuses",
            );
            None
        }
    };
    (parsed.into_token_stream(), link_type)
}

fn is_plain(name: &Ident, generics: &Generics, errors: &Errors) -> bool {
    if !generics.params.is_empty() {
        errors
            .at(generics, format!("`{name}` has generic parameters; a link type is one kind of item, so it has none"));
    }
    generics.params.is_empty()
}

/// Derives what a status needs, and the author has not derived.
fn add_derives(attrs: &mut Vec<Attribute>, copies: bool) {
    let mut derived: Vec<String> = Vec::new();
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("derive")) {
        if let Ok(paths) = attr.parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated) {
            derived.extend(paths.iter().filter_map(|path| path.segments.last()).map(|last| last.ident.to_string()));
        }
    }
    let missing = DERIVES.iter().filter(|(name, _)| copies && !derived.iter().any(|derived| derived == name));
    let missing: Vec<_> = missing
        .map(|(name, module)| {
            let (name, module) = (Ident::new(name, Span::call_site()), Ident::new(module, Span::call_site()));
            quote!(::core::#module::#name)
        })
        .collect();
    if !missing.is_empty() {
        attrs.push(syn::parse_quote!(#[derive(#(#missing),*)]));
    }
}

fn declaration(name: &Ident, attrs: &[Attribute], statuses: Vec<Status>, args: &Args, errors: &Errors) -> LinkType {
    let words = case::sentence(&name.unraw().to_string());
    let text = |name| args.text(name, errors).map(|text| text.to_token_stream());
    let id = args.string("id", errors);
    if let Some(id) = &id {
        attrs::check_word_id(id, errors);
    }
    let logos = args.get("logos").map(|logos| logos.args(errors)).unwrap_or_default();
    logos.check("`logos`", &["light", "dark", "mono"], &[], errors);
    let logos = ["light", "dark", "mono"].map(|logo| logos.text(logo, errors).map(|text| text.to_token_stream()));
    LinkType {
        id: id.as_ref().map_or_else(|| case::snake(&name.unraw().to_string()), LitStr::value),
        label: text("label").unwrap_or_else(|| words.to_token_stream()),
        description: docs::description(attrs),
        source_name: text("source_name"),
        note_label: text("note_label"),
        compose_label: text("compose_label"),
        reply_label: text("reply_label"),
        logos,
        is_struct: false,
        assignee: args.flag("assignee", errors),
        schedules: args.flag("schedules", errors),
        sharing: args.get("sharing").and_then(|arg| one_of(arg, "sharing", SHARING, errors)),
        contact_roles: args.get("contact_roles").map(|arg| contact_roles(arg, errors)).unwrap_or_default(),
        supports: args.get("supports").map(|arg| supports(arg, errors)).unwrap_or_default(),
        compose: args.get("compose").and_then(|arg| compose(name, arg, &statuses, errors)),
        reactions: args.get("reactions").and_then(|arg| Reactions::parse(arg, errors)),
        meta: args.get("meta").and_then(|arg| arg.read("a type", errors)),
        statuses,
        name: name.clone(),
    }
}

fn statuses(variants: &mut Punctuated<syn::Variant, Token![,]>, errors: &Errors) -> Vec<Status> {
    let mut ids: Vec<(String, Span)> = Vec::new();
    let mut todo: Option<Span> = None;
    let mut second_todo = None;
    let mut statuses = Vec::new();
    for variant in variants {
        let mut args = Args::default();
        for attr in attrs::take(&mut variant.attrs, "status") {
            args = Args::of(&attr, errors);
            args.check("`#[status]`", STATUS_ARGUMENTS, &[], errors);
        }
        let name = &variant.ident;
        let is_unit = matches!(variant.fields, Fields::Unit);
        if !is_unit {
            let problem = format!(
                "`{name}` has data; a status is no more than its id, so the variant has no fields: what the service says of an item goes into `meta`"
            );
            errors.at(&variant.fields, problem);
        }
        let given = args.string("id", errors);
        if let Some(id) = &given {
            attrs::check_word_id(id, errors);
        }
        let id = given.as_ref().map_or_else(|| case::snake(&name.unraw().to_string()), LitStr::value);
        ids.push((id.clone(), given.map_or_else(|| name.span(), |id| id.span())));
        let words = case::sentence(&name.unraw().to_string());
        let is_todo = args.flag("todo", errors);
        if let Some(todo) = args.get("todo").filter(|_| is_todo && args.flag("done", errors)) {
            let problem =
                "a status is `todo` or `done`: reopening puts an item in the one, and finishing it in the other";
            errors.at(&todo.name, problem);
        }
        if is_todo {
            let span = args.get("todo").map_or_else(|| name.span(), |arg| arg.name.span());
            match todo {
                Some(first) if second_todo.is_none() => second_todo = Some((first, span)),
                _ => todo = Some(span),
            }
        }
        statuses.push(Status {
            cfgs: attrs::cfgs(&variant.attrs),
            is_unit,
            id,
            label: args.text("label", errors).map_or_else(|| words.to_token_stream(), |label| label.to_token_stream()),
            icon: args.get("icon").and_then(|arg| one_of(arg, "icon", ICONS, errors)),
            done: args.flag("done", errors),
            todo: is_todo,
            active: args.flag("active", errors),
            hidden: args.flag("hidden", errors),
            variant: name.clone(),
        });
    }
    attrs::check_distinct(ids, "status id", errors);
    if let Some((first, second)) = second_todo {
        let problem = "two statuses are `todo`: it is the one that reopening puts an item in, so there is at most one";
        let mut error = syn::Error::new(second, problem);
        error.combine(syn::Error::new(first, "this one is `todo` too"));
        errors.push(error);
    }
    statuses
}

fn one_of(arg: &Arg, what: &str, known: &[&str], errors: &Errors) -> Option<Ident> {
    let expected = format!("one of {}", known.iter().map(|known| format!("`{known}`")).collect::<Vec<_>>().join(", "));
    let name: Ident = arg.read(&expected, errors)?;
    if known.contains(&name.to_string().as_str()) {
        return Some(name);
    }
    errors.at(
        &name,
        format!("there is no {what} `{name}`: {}", did_you_mean::hint(&name.to_string(), known.iter().copied())),
    );
    None
}

fn contact_roles(arg: &Arg, errors: &Errors) -> Vec<ContactRole> {
    let args = arg.args(errors);
    args.check_unique(errors);
    let mut defaults = Vec::new();
    let mut roles = Vec::new();
    for role in args.iter() {
        let inner = if role.is_bare() { Args::default() } else { role.args(errors) };
        inner.check(&format!("the role `{}`", role.name()), &["label", "default"], &[], errors);
        let default = inner.flag("default", errors);
        if let Some(default) = inner.get("default").filter(|_| default) {
            defaults.push(default.name.span());
        }
        let words = case::sentence(&role.name());
        roles.push(ContactRole {
            id: role.name(),
            label: inner.text("label", errors).map_or_else(|| words.to_token_stream(), |label| label.to_token_stream()),
            default,
        });
    }
    match defaults.as_slice() {
        [_] => {}
        [] => {
            let example = args.iter().next().map_or_else(|| "to".to_owned(), Arg::name);
            let words = case::sentence(&example);
            errors.at(
                &arg.name,
                format!("no role is the `default`: it is what a contact has that is added without a role, so exactly one is: `{example}(label = \"{words}\", default)`"),
            );
        }
        [first, second, ..] => {
            let problem =
                "two roles are the `default`: it is what a contact has that is added without a role, so exactly one is";
            let mut error = syn::Error::new(*second, problem);
            error.combine(syn::Error::new(*first, "this one is the `default` too"));
            errors.push(error);
        }
    }
    roles
}

fn supports(arg: &Arg, errors: &Errors) -> Supports {
    let args = arg.args(errors);
    args.check(
        "`supports`",
        &["contact_changes", "links", "attachments", "forwarding", "schedule_changes"],
        &[],
        errors,
    );
    Supports {
        contact_changes: args.flag("contact_changes", errors),
        links: args.flag("links", errors),
        attachments: args.flag("attachments", errors),
        forwarding: args.flag("forwarding", errors),
        schedule_changes: args.flag("schedule_changes", errors),
    }
}

fn compose(name: &Ident, arg: &Arg, statuses: &[Status], errors: &Errors) -> Option<Compose> {
    let args = match () {
        () if arg.is_bare() => Args::default(),
        () if arg.raw_list().is_some() => arg.args(errors),
        () => {
            return arg.flag(errors).then_some(Compose { target: "Channels", status: None, todo: false });
        }
    };
    args.check("`compose`", &["status", "target", "todo"], &[], errors);
    let status = args.get("status").and_then(|arg| {
        let variant: Ident = arg.read("a variant of the enum", errors)?;
        let found = statuses.iter().find(|status| status.variant == variant);
        if found.is_none() {
            let variants: Vec<_> = statuses.iter().map(|status| status.variant.to_string()).collect();
            let hint = did_you_mean::hint(&variant.to_string(), variants.iter().map(String::as_str));
            errors.at(&variant, format!("`{name}` has no status `{variant}`: {hint}"));
        }
        found.map(|status| status.id.clone())
    });
    let words: Vec<_> = TARGETS.iter().map(|(word, _)| *word).collect();
    let target = args.get("target").and_then(|arg| one_of(arg, "target", &words, errors));
    let target = TARGETS.iter().find(|(word, _)| target.as_ref().is_some_and(|target| target == word));
    Some(Compose { target: target.map_or("Channels", |(_, variant)| variant), status, todo: args.flag("todo", errors) })
}
