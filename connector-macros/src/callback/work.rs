//! The arguments of the attributes of methods.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::ext::IdentExt;
use syn::{Attribute, LitInt, LitStr, Meta};

use crate::attrs::{self, Arg, Args};
use crate::callback::duration;
use crate::callback::model::Work;
use crate::callback::webhook::Webhook;
use crate::errors::Errors;
use crate::paths::Paths;

/// Milliseconds: from the first mark to the pass, where a drain does not say.
const DELAY: u64 = 2_000;
const BATCH: u32 = 20;
const MAX_ATTEMPTS: u32 = 5;

/// The attribute of a method.
pub(crate) struct Attr {
    /// `callback`, `sync` …
    pub(crate) kind: &'static str,
    /// The attribute itself.
    pub(crate) attr: Attribute,
}

/// What the attribute of a method says.
pub(crate) struct Declared {
    /// When it runs by itself; not there if that is wrong.
    pub(crate) work: Option<Work>,
    /// The stable name.
    pub(crate) name: String,
    /// Former names.
    pub(crate) aliases: Vec<String>,
    /// The product whose channels it concerns, in place of all.
    pub(crate) product: Option<LitStr>,
}

impl Declared {
    /// Reads the attribute of `method`.
    pub(crate) fn parse(Attr { kind, attr }: &Attr, method: &Ident, errors: &Errors) -> Self {
        let (duration, args) = if *kind == "every" { interval(attr, errors) } else { (None, Args::of(attr, errors)) };
        let known: &[&str] = match *kind {
            "sync" => &["every", "product", "name", "alias"],
            "drain" => &["batch", "delay", "max_attempts", "product", "name", "alias"],
            "every" => &["product", "name", "alias"],
            "webhook" => &["verify", "handshake", "delivery_id", "max_body", "app", "product", "name", "alias"],
            _ => &["name", "alias"],
        };
        args.check(&format!("`#[{kind}]`"), known, &["alias"], errors);
        let work = match *kind {
            "sync" => sync(&args, attr, errors),
            "drain" => Some(Work::Drain {
                batch: count(&args, "batch", BATCH, errors),
                delay: args.get("delay").and_then(|arg| milliseconds(arg, errors)).unwrap_or(DELAY),
                max_attempts: count(&args, "max_attempts", MAX_ATTEMPTS, errors),
            }),
            "every" => duration.map(|interval| Work::Every { interval }),
            "webhook" => Webhook::parse(&args, attr, errors).map(Work::Webhook),
            _ => Some(Work::None),
        };
        let name = args.string("name", errors);
        let aliases: Vec<_> = args.all("alias").filter_map(|arg| arg.string(errors)).collect();
        for id in name.iter().chain(&aliases) {
            attrs::check_id(id, '_', errors);
        }
        Self {
            work,
            name: name.map_or_else(|| method.unraw().to_string(), |name| name.value()),
            aliases: aliases.iter().map(LitStr::value).collect(),
            product: args.string("product", errors),
        }
    }
}

/// Reads `"24h", name = "…"`.
fn interval(attr: &Attribute, errors: &Errors) -> (Option<u64>, Args) {
    let tokens = match &attr.meta {
        Meta::List(list) => list.tokens.clone(),
        _ => TokenStream::new(),
    };
    let mut pieces = attrs::split(tokens).into_iter();
    let text = pieces.next().and_then(|first| syn::parse2::<LitStr>(first).ok());
    if text.is_none() {
        errors.at(attr, "`#[every]` takes the interval first: `#[every(\"24h\")]`");
        return (None, Args::default());
    }
    let interval = text.and_then(|text| duration::milliseconds(&text, errors));
    (interval, Args::parse(quote!(#(#pieces),*), errors))
}

fn sync(args: &Args, attr: &Attribute, errors: &Errors) -> Option<Work> {
    let Some(every) = args.get("every") else {
        errors.at(attr, "`#[sync]` needs the time from one walk to the next: `#[sync(every = \"15m\")]`");
        return None;
    };
    Some(Work::Sync { every: milliseconds(every, errors)? })
}

fn milliseconds(arg: &Arg, errors: &Errors) -> Option<u64> {
    let text: LitStr = arg.read("a duration in quotes, as in `\"15m\"`", errors)?;
    duration::milliseconds(&text, errors)
}

fn count(args: &Args, name: &str, default: u32, errors: &Errors) -> u32 {
    let Some(arg) = args.get(name) else {
        return default;
    };
    let number: Option<LitInt> = arg.read("a whole number from 1", errors);
    match number.as_ref().map(|number| (number, number.base10_parse())) {
        Some((_, Ok(number))) if number > 0 => number,
        Some((number, _)) => {
            errors.at(number, format!("`{name}` takes a whole number from 1"));
            default
        }
        None => default,
    }
}

impl Work {
    /// A value of `Work`; none for a callback that runs when it is told to.
    pub(crate) fn expand(&self, paths: &Paths) -> Option<TokenStream> {
        let private = paths.private();
        let milliseconds = |number: &u64| quote!(::core::time::Duration::from_millis(#number));
        let work = match self {
            Self::None => return None,
            Self::Sync { every } => {
                let every = milliseconds(every);
                quote!(Sync { every: #every })
            }
            Self::Drain { batch, delay, max_attempts } => {
                let delay = milliseconds(delay);
                quote!(Drain { batch: #batch, delay: #delay, max_attempts: #max_attempts })
            }
            Self::Every { interval } => {
                let interval = milliseconds(interval);
                quote!(Every { interval: #interval })
            }
            Self::Webhook(webhook) => {
                let webhook = webhook.expand(paths);
                quote!(Webhook(#webhook))
            }
        };
        Some(quote!(#private::Work::#work))
    }
}
