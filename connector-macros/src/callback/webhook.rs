//! The arguments of `#[webhook]`.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::{Expr, ExprLit, Lit, LitInt, LitStr, Path};

use crate::attrs::{Arg, Args};
use crate::did_you_mean;
use crate::errors::Errors;
use crate::paths::Paths;

/// A valid `#[webhook(…)]`.
pub(crate) struct Webhook {
    verify: Verify,
    handshake: Option<Handshake>,
    delivery_id: Option<LitStr>,
    tenant: Option<Tenant>,
    max_body: Option<LitInt>,
}

enum Verify {
    HmacSha256 { header: LitStr, prefix: Option<LitStr> },
    Slack,
    StandardWebhooks,
    Timestamped { header: LitStr },
    SecretUrl,
    StateField { pointer: LitStr },
    StateHeader { header: LitStr },
    Function { path: Path },
    None { reason: LitStr },
}

enum Tenant {
    Field(LitStr),
    Function(Path),
}

enum Handshake {
    Query(LitStr),
    Field(LitStr),
    Header(LitStr),
}

const SCHEMES: [&str; 9] = [
    "hmac_sha256",
    "slack",
    "standard_webhooks",
    "timestamped",
    "secret_url",
    "state_field",
    "state_header",
    "function",
    "none",
];
/// The same as in `connector_core::webhook`.
const MAX_BODY: u32 = 25 << 20;
const HANDSHAKES: [&str; 3] = ["echo_query", "echo_field", "echo_header"];
const VERIFY_FORMS: &str = "`hmac_sha256(header = \"…\", prefix = \"…\")`, `slack`, `standard_webhooks`, `timestamped(header = \"…\")`, `secret_url`, `state_field(\"/pointer\")`, `state_header(\"X-Name\")`, `function(path)` or `none(\"reason\")`";

impl Webhook {
    /// Reads the arguments; `owner` is what `verify` is missing at.
    pub(crate) fn parse(args: &Args, owner: &syn::Attribute, errors: &Errors) -> Option<Self> {
        let verify = match args.get("verify") {
            Some(arg) => Verify::parse(arg, errors),
            None => {
                errors.at(
                    owner,
                    format!("`#[webhook]` needs `verify`, so that nobody but the service can push: {VERIFY_FORMS}"),
                );
                None
            }
        };
        let handshake = args.get("handshake").and_then(|arg| Handshake::parse(arg, errors));
        let delivery_id = args.string("delivery_id", errors);
        for place in delivery_id.iter().filter(|place| !place.value().starts_with('/')) {
            check_header(place, errors);
        }
        let tenant = args.get("app").map(|arg| Tenant::parse(arg, errors));
        let max_body = args.get("max_body").and_then(|arg| arg.read("a number of bytes", errors));
        if let Some(bytes) = max_body.as_ref().filter(|bytes: &&LitInt| !fits(bytes)) {
            errors.at(
                bytes,
                format!("the body of a webhook has at least 1 byte, and at most {MAX_BODY}, which is 25 MiB"),
            );
        }
        Some(Self { verify: verify?, handshake, delivery_id, tenant: tenant.flatten(), max_body })
    }

    /// The service sends to one URL for the whole app.
    pub(crate) fn is_of_app(&self) -> bool {
        self.tenant.is_some()
    }

    /// A value of `WebhookDeclaration`.
    pub(crate) fn expand(&self, paths: &Paths) -> TokenStream {
        let private = paths.private();
        let verify = match &self.verify {
            Verify::HmacSha256 { header, prefix } => {
                let prefix = prefix.as_ref().map_or_else(|| quote!(""), |prefix| quote!(#prefix));
                quote!(HmacSha256 { header: #header, prefix: #prefix })
            }
            Verify::Slack => quote!(Slack),
            Verify::StandardWebhooks => quote!(StandardWebhooks),
            Verify::Timestamped { header } => quote!(Timestamped { header: #header }),
            Verify::SecretUrl => quote!(SecretUrl),
            Verify::StateField { pointer } => quote!(StateField { pointer: #pointer }),
            Verify::StateHeader { header } => quote!(StateHeader { header: #header }),
            Verify::Function { path } => {
                let function = function(&format_ident!("VerifyFn"), path, paths);
                quote!(Function { function: #function })
            }
            Verify::None { reason } => quote!(None { reason: #reason }),
        };
        let handshake = optional(self.handshake.as_ref().map(|handshake| {
            let handshake = match handshake {
                Handshake::Query(parameter) => quote!(EchoQuery { parameter: #parameter }),
                Handshake::Field(pointer) => quote!(EchoField { pointer: #pointer }),
                Handshake::Header(header) => quote!(EchoHeader { header: #header }),
            };
            quote!(#private::Handshake::#handshake)
        }));
        let delivery_id = optional(self.delivery_id.as_ref());
        let tenant = optional(self.tenant.as_ref().map(|tenant| {
            let tenant = match tenant {
                Tenant::Field(pointer) => quote!(Field { pointer: #pointer }),
                Tenant::Function(path) => {
                    let function = function(&format_ident!("TenantFn"), path, paths);
                    quote!(Function { function: #function })
                }
            };
            quote!(#private::Tenant::#tenant)
        }));
        let max_body = optional(self.max_body.as_ref());
        quote! {
            #private::WebhookDeclaration {
                verify: #private::Verify::#verify,
                handshake: #handshake,
                delivery_id: #delivery_id,
                tenant: #tenant,
                max_body: #max_body,
            }
        }
    }
}

impl Verify {
    fn parse(arg: &Arg, errors: &Errors) -> Option<Self> {
        let scheme = arg.inner(VERIFY_FORMS, errors)?;
        match scheme.name().as_str() {
            "hmac_sha256" => {
                let args = scheme.args(errors);
                args.check("`hmac_sha256`", &["header", "prefix"], &[], errors);
                let prefix = args.string("prefix", errors);
                Some(Self::HmacSha256 { header: header(&scheme, &args, errors)?, prefix })
            }
            "timestamped" => {
                let args = scheme.args(errors);
                args.check("`timestamped`", &["header"], &[], errors);
                Some(Self::Timestamped { header: header(&scheme, &args, errors)? })
            }
            "slack" => bare(&scheme, errors).then_some(Self::Slack),
            "standard_webhooks" => bare(&scheme, errors).then_some(Self::StandardWebhooks),
            "secret_url" => bare(&scheme, errors).then_some(Self::SecretUrl),
            "state_field" => Some(Self::StateField { pointer: pointer(&scheme, errors)? }),
            "state_header" => {
                let header = only(&scheme, "a header", errors)?;
                check_header(&header, errors);
                Some(Self::StateHeader { header })
            }
            "function" => {
                let path = scheme.raw_list().and_then(|list| syn::parse2::<Path>(list.clone()).ok());
                if path.is_none() {
                    errors.at(scheme.tokens(), "`function` takes the path of a function: `function(path)`");
                }
                Some(Self::Function { path: path? })
            }
            "none" => {
                let reason = only(&scheme, "the reason why that is safe", errors)?;
                if reason.value().trim().is_empty() {
                    errors.at(&reason, "`none` needs a reason why nothing has to be checked");
                }
                Some(Self::None { reason })
            }
            name => {
                let hint = did_you_mean::hint(name, SCHEMES);
                errors.at(&scheme.name, format!("`{name}` is no way to verify a webhook: {hint}"));
                None
            }
        }
    }
}

impl Tenant {
    fn parse(arg: &Arg, errors: &Errors) -> Option<Self> {
        let args = arg.some_args(errors)?;
        args.check("`app`", &["tenant"], &[], errors);
        let Some(tenant) = args.get("tenant") else {
            let missing = "`app` needs what tells whom a request concerns: `app(tenant = \"/pointer\")`, or a function";
            errors.at(arg.tokens(), missing);
            return None;
        };
        match tenant.read("a JSON pointer in quotes, or the path of a function", errors)? {
            Expr::Lit(ExprLit { lit: Lit::Str(pointer), .. }) => {
                check_pointer(&pointer, errors);
                Some(Self::Field(pointer))
            }
            Expr::Path(function) => Some(Self::Function(function.path)),
            other => {
                errors.at(other, "`tenant` takes a JSON pointer in quotes, or the path of a function");
                None
            }
        }
    }
}

impl Handshake {
    fn parse(arg: &Arg, errors: &Errors) -> Option<Self> {
        let kind =
            arg.inner("`echo_query(\"parameter\")`, `echo_field(\"/pointer\")` or `echo_header(\"X-Name\")`", errors)?;
        match kind.name().as_str() {
            "echo_query" => only(&kind, "a query parameter", errors).map(Self::Query),
            "echo_field" => pointer(&kind, errors).map(Self::Field),
            "echo_header" => {
                let header = only(&kind, "a header", errors)?;
                check_header(&header, errors);
                Some(Self::Header(header))
            }
            name => {
                let hint = did_you_mean::hint(name, HANDSHAKES);
                errors.at(&kind.name, format!("`{name}` is no handshake: {hint}"));
                None
            }
        }
    }
}

fn fits(bytes: &LitInt) -> bool {
    bytes.base10_parse::<u32>().is_ok_and(|bytes| (1..=MAX_BODY).contains(&bytes))
}

fn bare(arg: &Arg, errors: &Errors) -> bool {
    if !arg.is_bare() {
        errors.at(arg.tokens(), format!("`{}` takes no arguments", arg.name()));
    }
    arg.is_bare()
}

fn header(scheme: &Arg, args: &Args, errors: &Errors) -> Option<LitStr> {
    if args.get("header").is_none() {
        errors.at(
            scheme.tokens(),
            format!("`{}` needs the header that has the signature: `header = \"…\"`", scheme.name()),
        );
    }
    let header = args.string("header", errors)?;
    check_header(&header, errors);
    Some(header)
}

fn check_header(header: &LitStr, errors: &Errors) {
    let value = header.value();
    if value.is_empty() || !value.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_')) {
        errors.at(header, format!("`{value}` is no name of a header: it is letters, digits and `-`"));
    }
}

fn pointer(arg: &Arg, errors: &Errors) -> Option<LitStr> {
    let pointer = only(arg, "a JSON pointer (RFC 6901)", errors)?;
    check_pointer(&pointer, errors);
    Some(pointer)
}

fn check_pointer(pointer: &LitStr, errors: &Errors) {
    if !pointer.value().starts_with('/') {
        errors.at(pointer, format!("a JSON pointer begins with `/`: write `\"/{}\"`", pointer.value()));
    }
}

/// A function with its name; one of another type is shown where it is written.
fn function(kind: &proc_macro2::Ident, path: &Path, paths: &Paths) -> TokenStream {
    let private = paths.private();
    let name = path.to_token_stream().to_string().replace(' ', "");
    quote!(#private::#kind::new(#name, #path))
}

/// The one text of `name("text")`.
fn only(arg: &Arg, what: &str, errors: &Errors) -> Option<LitStr> {
    let text = arg.raw_list().and_then(|list| syn::parse2::<LitStr>(list.clone()).ok());
    match text {
        Some(text) if !text.value().is_empty() => Some(text),
        _ => {
            errors.at(arg.tokens(), format!("`{0}` takes {what} in quotes: `{0}(\"…\")`", arg.name()));
            None
        }
    }
}

fn optional<T: quote::ToTokens>(value: Option<T>) -> TokenStream {
    value.map_or_else(|| quote!(::core::option::Option::None), |value| quote!(::core::option::Option::Some(#value)))
}
