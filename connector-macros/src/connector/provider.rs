//! `provider`: who authorizes.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::{Ident, LitStr, Path};

use crate::attrs::{self, Arg};
use crate::did_you_mean;
use crate::errors::Errors;
use crate::paths::Paths;

const BUILT_IN: [&str; 13] = [
    "Google",
    "Microsoft",
    "Notion",
    "Slack",
    "Atlassian",
    "Linear",
    "Monday",
    "GitHub",
    "Asana",
    "HubSpot",
    "Todoist",
    "Airtable",
    "Trello",
];

/// A valid provider.
pub(crate) enum Provider {
    /// One that core knows.
    BuiltIn(Ident),
    /// A constant of type `CustomProvider`.
    Constant(Path),
    /// Written in place.
    Custom(Box<Custom>),
}

/// A custom OAuth 2.0 or OIDC provider.
pub(crate) struct Custom {
    id: LitStr,
    authorize_url: LitStr,
    token_url: LitStr,
    revoke_url: Option<LitStr>,
    issuer: Option<LitStr>,
    api_url: LitStr,
}

impl Provider {
    /// Reads the argument `provider`.
    pub(crate) fn parse(arg: &Arg, errors: &Errors) -> Option<Self> {
        let expected = "a provider: `GitHub`, the path of a constant, or `custom(…)`";
        let tokens = arg.value_tokens();
        if let Ok(custom) = syn::parse2::<Arg>(tokens.clone())
            && (custom.raw_list().is_some() || custom.name() == "custom")
        {
            return Self::custom(&custom, errors);
        }
        if let Ok(text) = syn::parse2::<LitStr>(tokens) {
            let hint = did_you_mean::hint(&text.value(), BUILT_IN);
            errors.at(&text, format!("`provider` takes a name without quotes: {hint}"));
            return None;
        }
        let path: Path = arg.read(expected, errors)?;
        let last = path.segments.last()?.ident.clone();
        let name = last.unraw().to_string();
        let qualified = path.segments.len() > 1;
        let of_enum = path.segments.iter().rev().nth(1).is_some_and(|before| before.ident == "Provider");
        if BUILT_IN.contains(&name.as_str()) && (!qualified || of_enum) {
            return Some(Self::BuiltIn(last));
        }
        if !name.chars().any(char::is_lowercase) {
            return Some(Self::Constant(path));
        }
        let hint = did_you_mean::hint(&name, BUILT_IN);
        errors.at(
            &path,
            format!("there is no provider `{name}`: {hint}, `custom(id = \"…\", authorize_url = \"…\", token_url = \"…\", api_url = \"…\")` and your own constants"),
        );
        None
    }

    fn custom(custom: &Arg, errors: &Errors) -> Option<Self> {
        if custom.name() != "custom" {
            errors.at(&custom.name, "only `custom(…)` takes arguments here");
            return None;
        }
        let args = custom.some_args(errors)?;
        args.check("`custom`", &["id", "authorize_url", "token_url", "revoke_url", "issuer", "api_url"], &[], errors);
        for required in ["id", "authorize_url", "token_url", "api_url"] {
            if args.get(required).is_none() {
                errors.at(custom.tokens(), format!("a custom provider needs `{required}`"));
            }
        }
        let url = |name| {
            let url = args.string(name, errors)?;
            check_url(&url, errors);
            Some(url)
        };
        let id = args.string("id", errors);
        id.iter().for_each(|id| attrs::check_id(id, '-', errors));
        let (authorize_url, token_url, api_url) = (url("authorize_url"), url("token_url"), url("api_url"));
        let (revoke_url, issuer) = (url("revoke_url"), url("issuer"));
        if let Some(url) = api_url.as_ref().filter(|url| url.value().ends_with('/')) {
            errors.at(
                url,
                format!("`api_url` has no slash at its end: write `\"{}\"`", url.value().trim_end_matches('/')),
            );
        }
        Some(Self::Custom(Box::new(Custom {
            id: id?,
            authorize_url: authorize_url?,
            token_url: token_url?,
            revoke_url,
            issuer,
            api_url: api_url?,
        })))
    }

    /// A value of `Provider`.
    pub(crate) fn expand(&self, paths: &Paths) -> TokenStream {
        let private = paths.private();
        match self {
            Self::BuiltIn(name) => quote!(#private::Provider::#name),
            Self::Constant(path) => quote!(#private::Provider::Custom(#path)),
            Self::Custom(custom) => {
                let Custom { id, authorize_url, token_url, revoke_url, issuer, api_url } = &**custom;
                let optional = |value: &Option<LitStr>| match value {
                    Some(value) => quote!(::core::option::Option::Some(#value)),
                    None => quote!(::core::option::Option::None),
                };
                let (revoke_url, issuer) = (optional(revoke_url), optional(issuer));
                quote! {
                    #private::Provider::Custom(#private::CustomProvider {
                        id: #id,
                        authorize_url: #authorize_url,
                        token_url: #token_url,
                        revoke_url: #revoke_url,
                        issuer: #issuer,
                        api_url: #api_url,
                    })
                }
            }
        }
    }
}

fn check_url(url: &LitStr, errors: &Errors) {
    let value = url.value();
    let rest = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
    if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/')) || value.contains(char::is_whitespace) {
        errors
            .at(url, format!("`{value}` is no URL: write the whole of it, as in `\"https://auth.example.com/token\"`"));
    }
}
