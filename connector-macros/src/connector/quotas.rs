//! `quota`: what a service takes of some of the requests.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{LitInt, LitStr};

use crate::attrs::{self, Arg, Args};
use crate::callback::duration;
use crate::errors::Errors;
use crate::paths::Paths;

/// A valid quota.
pub(crate) struct Quota {
    name: LitStr,
    limit: u32,
    per_ms: u64,
    of: Vec<Requests>,
}

/// Some of the requests.
struct Requests {
    methods: String,
    path: Option<LitStr>,
}

const FORM: &str = "`quota` takes a name, a number of requests and a window: `quota(\"writes\", 20, per = \"10s\", of = post(\"/send\"))`";

impl Quota {
    /// Reads all arguments `quota`.
    pub(crate) fn parse_all(args: &Args, errors: &Errors) -> Vec<Self> {
        let quotas: Vec<_> = args.all("quota").filter_map(|arg| Self::parse(arg, errors)).collect();
        let names = quotas.iter().map(|quota| (quota.name.value(), quota.name.span()));
        attrs::check_distinct(names, "quota", errors);
        quotas
    }

    fn parse(arg: &Arg, errors: &Errors) -> Option<Self> {
        let mut pieces = arg.raw_list().map(|list| attrs::split(list.clone())).unwrap_or_default().into_iter();
        let (name, limit) = (pieces.next(), pieces.next());
        let name = name.and_then(|name| syn::parse2::<LitStr>(name).ok()).filter(|name| !name.value().is_empty());
        let limit = limit.and_then(|limit| syn::parse2::<LitInt>(limit).ok());
        let (Some(name), Some(limit)) = (name, limit) else {
            errors.at(arg.value_tokens(), FORM);
            return None;
        };
        let number = limit.base10_parse::<u32>().ok().filter(|limit| *limit > 0);
        if number.is_none() {
            errors.at(&limit, "a quota takes at least one request");
        }
        let pieces: Vec<_> = pieces.collect();
        let args = Args::parse(quote!(#(#pieces),*), errors);
        args.check("`quota`", &["per", "of"], &[], errors);
        if args.get("per").is_none() {
            errors.at(arg.tokens(), FORM);
        }
        let per = args.string("per", errors).and_then(|per| duration::milliseconds(&per, errors));
        let of = args.get("of").map(|of| Requests::parse_all(of, errors)).unwrap_or_default();
        Some(Self { name, limit: number?, per_ms: per?, of })
    }

    /// A value of `QuotaDeclaration`.
    pub(crate) fn expand(&self, paths: &Paths) -> TokenStream {
        let private = paths.private();
        let Self { name, limit, per_ms, of } = self;
        let of = of.iter().map(|requests| {
            let methods = match requests.methods.as_str() {
                "any" => quote!(Any),
                "reads" => quote!(Reads),
                "writes" => quote!(Writes),
                method => {
                    let method = method.to_ascii_uppercase();
                    quote!(One(#method))
                }
            };
            let path = match &requests.path {
                Some(path) => quote!(::core::option::Option::Some(#path)),
                None => quote!(::core::option::Option::None),
            };
            quote!(#private::RequestPattern { methods: #private::Methods::#methods, path: #path })
        });
        quote! {
            #private::QuotaDeclaration { name: #name, limit: #limit, per_ms: #per_ms, of: &[#(#of),*] }
        }
    }
}

impl Requests {
    /// `of = post("/send")`, `of = writes` or `of = [post("/send"), put("/rooms/*")]`.
    fn parse_all(arg: &Arg, errors: &Errors) -> Vec<Self> {
        let one: Option<Arg> = arg.read("requests", &Errors::default());
        let all = one.map_or_else(|| arg.list::<Arg>("requests: `post(\"/send\")`", errors), |one| vec![one]);
        all.iter().filter_map(|requests| Self::parse(requests, errors)).collect()
    }

    fn parse(arg: &Arg, errors: &Errors) -> Option<Self> {
        let methods = arg.name();
        let path = match arg.raw_list() {
            None => None,
            Some(list) => {
                let path = syn::parse2::<LitStr>(list.clone()).ok().filter(|path| path.value().starts_with('/'));
                if path.is_none() {
                    let message = format!("`{methods}` takes a path that begins with `/`: `{methods}(\"/send\")`");
                    errors.at(list.to_token_stream(), message);
                }
                Some(path?)
            }
        };
        Some(Self { methods, path })
    }
}
