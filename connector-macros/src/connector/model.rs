//! What `#[connector(…)]` on a struct says, as valid as it can be made.

use proc_macro2::{Ident, TokenStream};
use quote::ToTokens;
use syn::{Expr, LitStr, Path, Type};

use crate::attrs::{self, Arg, Args};
use crate::case;
use crate::connector::products::Product;
use crate::connector::provider::Provider;
use crate::connector::quotas::Quota;
use crate::connector::scopes::Scopes;
use crate::docs;
use crate::errors::Errors;
use crate::item::Struct;
use crate::reactions::Reactions;
use crate::url_pattern;

const ARGUMENTS: [&str; 26] = [
    "id",
    "name",
    "logo",
    "provider",
    "scopes",
    "shared",
    "key_option",
    "single_channel",
    "fixed_channels",
    "hidden_channels",
    "channel_noun",
    "auto_enable_new_channels",
    "link_types",
    "dynamic_link_types",
    "reactions",
    "handle_replies",
    "multiple_instances",
    "products",
    "access",
    "urls",
    "errors",
    "quota",
    "options",
    "tools",
    "version",
    "crate",
];

/// A declared connector.
pub(crate) struct Connector {
    /// Stable id.
    pub(crate) id: LitStr,
    /// Display name.
    pub(crate) name: TokenStream,
    /// From the doc comment.
    pub(crate) description: TokenStream,
    /// URL of a logo.
    pub(crate) logo: Option<Expr>,
    /// Who authorizes.
    pub(crate) provider: Option<Provider>,
    /// What is asked of the provider.
    pub(crate) scopes: Scopes,
    /// The secure option that is used in place of OAuth.
    pub(crate) key_option: Option<LitStr>,
    /// The flags of `Declaration` that are set.
    pub(crate) flags: Vec<&'static str>,
    /// The flags of `ChannelRules` that are set.
    pub(crate) channel_flags: Vec<&'static str>,
    /// What one channel is called, and several.
    pub(crate) channel_noun: Option<(LitStr, LitStr)>,
    /// The kinds of external item.
    pub(crate) link_types: Vec<Path>,
    /// The reactions that the service takes.
    pub(crate) reactions: Option<Reactions>,
    /// The parts of a combined connector.
    pub(crate) products: Vec<Product>,
    /// What connecting grants.
    pub(crate) access: Vec<LitStr>,
    /// What may be reached.
    pub(crate) urls: Vec<LitStr>,
    /// The function that says what the answers of the service mean.
    pub(crate) errors: Option<Path>,
    /// The quotas of the service.
    pub(crate) quotas: Vec<Quota>,
    /// The type of the options.
    pub(crate) options: Option<Type>,
    /// The tools.
    pub(crate) tools: Vec<Path>,
    /// The version.
    pub(crate) version: Option<Expr>,
    /// The argument `handle_replies`, where it is set.
    pub(crate) handle_replies: Option<Ident>,
    /// The argument `reactions`, where it is given.
    pub(crate) reactions_name: Option<Ident>,
}

impl Connector {
    /// Reads and checks the arguments. What is wrong is reported, and has its default.
    pub(crate) fn parse(args: &Args, target: &Struct, errors: &Errors) -> Self {
        args.check("`#[connector]`", &ARGUMENTS, &["quota"], errors);
        target.check_not_generic("connector", errors);
        let ident = &target.ident;
        let id =
            args.string("id", errors).unwrap_or_else(|| LitStr::new(&case::kebab(&ident.to_string()), ident.span()));
        attrs::check_id(&id, '-', errors);
        let name = match args.text("name", errors) {
            Some(name) => name.into_token_stream(),
            None => case::title(&ident.to_string()).into_token_stream(),
        };
        let set = |names: &[(&str, &'static str)]| {
            let set = names.iter().filter(|(name, _)| args.flag(name, errors));
            set.map(|(_, field)| *field).collect::<Vec<_>>()
        };
        let scopes = args.get("scopes").map(|arg| Scopes::parse(arg, errors)).unwrap_or_default();
        let products = args.get("products").map(|arg| Product::parse_all(arg, &scopes, errors)).unwrap_or_default();
        let key_option = args.get("key_option").and_then(|arg| key_option(arg, errors));
        let urls = args.strings("urls", errors);
        urls.iter().for_each(|url| url_pattern::check(url, errors));
        let connector = Self {
            id,
            name,
            description: docs::description(&target.attrs),
            logo: args.text("logo", errors),
            provider: args.get("provider").and_then(|arg| Provider::parse(arg, errors)),
            scopes,
            key_option,
            flags: set(&[
                ("shared", "shared"),
                ("dynamic_link_types", "dynamic_link_types"),
                ("handle_replies", "handle_replies"),
                ("multiple_instances", "multiple_instances"),
            ]),
            channel_flags: set(&[
                ("single_channel", "single"),
                ("fixed_channels", "fixed"),
                ("hidden_channels", "hidden"),
                ("auto_enable_new_channels", "auto_enable_new"),
            ]),
            channel_noun: args.get("channel_noun").and_then(|arg| noun(arg, errors)),
            link_types: paths(args, "link_types", "link types", errors),
            reactions: args.get("reactions").and_then(|arg| Reactions::parse(arg, errors)),
            products,
            access: args.strings("access", errors),
            urls,
            errors: args.get("errors").and_then(|arg| arg.read("the path of a function", errors)),
            quotas: Quota::parse_all(args, errors),
            options: args.get("options").and_then(|arg| arg.read("a struct with `#[derive(Options)]`", errors)),
            tools: paths(args, "tools", "tools", errors),
            version: args.text("version", errors),
            handle_replies: args.get("handle_replies").map(|arg| arg.name.clone()),
            reactions_name: args.get("reactions").map(|arg| arg.name.clone()),
        };
        connector.check_together(args, errors);
        connector
    }

    /// Reports what does not go together.
    fn check_together(&self, args: &Args, errors: &Errors) {
        if let (Some(scopes), None) = (args.get("scopes"), args.get("provider")) {
            errors.at(&scopes.name, "scopes are asked of a provider: add `provider = …`, or leave `scopes` out");
        }
        if let (Some(key), Some(_)) = (args.get("key_option"), args.get("provider")) {
            errors.at(&key.name, "a key is used in place of OAuth: keep `key_option` or `provider`, not both");
        }
        if let (Some(key), None) = (args.get("key_option"), args.get("options")) {
            errors.at(key.value_tokens(), "`key_option` names a secure field of the options: add `options = …`");
        }
        let anyone = self.provider.is_none() && self.key_option.is_none() && errors.is_empty();
        if let Some(shared) = args.get("shared").filter(|_| anyone && self.flags.contains(&"shared")) {
            errors.at(
                &shared.name,
                "a workspace shares a credential, and this connector has none: add `provider = …` or `key_option = …`, or leave `shared` out",
            );
        }
        let has = |flag: &str| self.channel_flags.contains(&flag);
        if let Some(auto) = args.get("auto_enable_new_channels").filter(|_| has("fixed") && has("auto_enable_new")) {
            errors
                .at(&auto.name, "with `fixed_channels` there are no new channels to enable: leave one of the two out");
        }
        if let Some(auto) = args.get("auto_enable_new_channels").filter(|_| has("single") && has("auto_enable_new")) {
            errors
                .at(&auto.name, "with `single_channel` there are no new channels to enable: leave one of the two out");
        }
        if let Some(arg) = args.get("version").filter(|_| is_empty(self.version.as_ref())) {
            errors.at(arg.value_tokens(), "a version may not be empty");
        }
        if let Some(arg) = args.get("name").filter(|arg| is_empty(arg.text(&Errors::default()).as_ref())) {
            errors.at(arg.value_tokens(), "a name may not be empty");
        }
    }
}

fn is_empty(text: Option<&Expr>) -> bool {
    matches!(text, Some(Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. })) if text.value().trim().is_empty())
}

fn key_option(arg: &Arg, errors: &Errors) -> Option<LitStr> {
    let tokens = arg.value_tokens();
    if let Ok(name) = syn::parse2::<Ident>(tokens)
        && !arg.is_bare()
    {
        return Some(LitStr::new(&name.to_string(), name.span()));
    }
    arg.read("the name of a secure field of the options", errors)
}

fn noun(arg: &Arg, errors: &Errors) -> Option<(LitStr, LitStr)> {
    let words = arg.strings(errors);
    match words.as_slice() {
        [singular, plural] if !singular.value().is_empty() && !plural.value().is_empty() => {
            Some((singular.clone(), plural.clone()))
        }
        _ => {
            errors.at(
                arg.tokens(),
                "`channel_noun` takes what one channel is called, and several: `(\"repository\", \"repositories\")`",
            );
            None
        }
    }
}

fn paths(args: &Args, name: &str, what: &str, errors: &Errors) -> Vec<Path> {
    let paths: Vec<Path> = args.get(name).map(|arg| arg.list(what, errors)).unwrap_or_default();
    let texts = paths.iter().map(|path| (path.to_token_stream().to_string(), syn::spanned::Spanned::span(path)));
    attrs::check_distinct(texts, "type", errors);
    paths
}
