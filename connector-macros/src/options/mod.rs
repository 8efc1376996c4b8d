//! `#[derive(Options)]`: a struct whose fields are the fields of a settings form.

mod expand;
mod parse;

use proc_macro2::{Span, TokenStream};
use syn::{DeriveInput, Expr, Ident, Type};

use crate::attrs::{self, Args};
use crate::errors::Errors;
use crate::paths::Paths;

/// The struct.
struct Options {
    name: Ident,
    fields: Vec<Field>,
}

/// One field; its settings are those without a mistake.
struct Field {
    ident: Ident,
    ty: Type,
    label: TokenStream,
    description: TokenStream,
    default: Option<Default>,
    min: Option<Number>,
    max: Option<Number>,
    placeholder: Option<Text>,
    help: Option<Text>,
    help_url: Option<Text>,
    /// Where it is said.
    secure: Option<Span>,
    /// Where it is said.
    required: Option<Span>,
}

/// A default and where it is written.
struct Default {
    value: DefaultValue,
    tokens: TokenStream,
}

enum DefaultValue {
    Boolean(bool),
    Number(f64),
    Text(String),
    /// A variant of the field's type, or the path of one.
    Choice(Expr),
}

struct Number {
    value: f64,
    tokens: TokenStream,
}

struct Text {
    /// The name of the argument.
    name: Ident,
    value: Expr,
}

/// Expands the derive.
pub(crate) fn derive(item: TokenStream) -> TokenStream {
    let item: DeriveInput = match syn::parse2(item) {
        Ok(item) => item,
        Err(error) => return error.into_compile_error(),
    };
    let errors = Errors::default();
    let mut args = Args::default();
    for attr in item.attrs.iter().filter(|attr| attrs::is_ours(attr, "option")) {
        args = Args::of(attr, &errors);
        args.check("`#[option]` on a struct", &["crate"], &[], &errors);
    }
    let private = Paths::new(&args, &errors).private();
    let options = parse::options(item, &errors);
    let mut tokens = options.map(|options| options.expand(&private)).unwrap_or_default();
    tokens.extend(errors.into_tokens());
    tokens
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::derive;
    use crate::tests::{messages, snapshot};

    /// R2.1
    #[test]
    fn a_struct_is_a_form() {
        let item = quote! {
            struct ExampleOptions {
                /// Also sync pull requests.
                #[option(label = "Pull requests", default = true)]
                pull_requests: bool,
                #[option(default = 90, min = 1, max = 3650)]
                history_days: u32,
                #[option(default = Week)]
                window: Window,
                #[option(label = "API key", secure, placeholder = "sk-…", help = "In your settings.", help_url = "https://example.com/keys")]
                api_key: Secret,
            }
        };
        snapshot("options", derive(item));
    }

    /// R2.1
    #[test]
    fn a_form_may_be_empty() {
        assert!(
            messages(derive(quote!(
                struct None {}
            )))
            .is_empty()
        );
        assert!(
            messages(derive(quote!(
                struct None;
            )))
            .is_empty()
        );
    }

    /// R1.12: everything that is wrong is reported in one compile.
    #[test]
    fn mistakes_in_options_are_reported_together() {
        let item = quote! {
            struct ExampleOptions {
                #[option(default = 0, min = 1, max = 3650)]
                low: u32,
                #[option(min = 2, max = 1)]
                crossed: u32,
                #[option(min = LEAST)]
                named: u32,
                #[option(default = now())]
                called: u32,
                #[option(secure, default = "x")]
                key: Secret,
                #[option(required, default = "x")]
                twice: String,
                #[option(required = false)]
                never: String,
                #[option(lable = "x")]
                misspelt: bool,
                #[option(default = DAYS)]
                constant: u32,
            }
        };
        assert_eq!(
            messages(derive(item)),
            [
                "the default is less than `min`, which is 1",
                "`min` is greater than `max`, which is 1",
                "`min` takes a number: `min = 1`",
                "`default` takes a literal, or a variant of the field's enum: the form shows it without running any code",
                "a secure option has no default: it would be in the program for everyone to read",
                "an option with a default is never missing, so it is not `required`: leave out one of the two",
                "without a default a `String` must be given: make the field an `Option`, or give it a `default`",
                "`#[option]` has no argument `lable`: did you mean `label`? there are `label`, `default`, `min`, `max`, `placeholder`, `secure`, `required`, `help`, `help_url`",
                "`default` takes a literal, or a variant of the field's enum: the form shows it without running any code",
            ]
        );
    }

    /// R1.12
    #[test]
    fn only_a_struct_with_names_is_a_form() {
        for item in [
            quote!(
                enum X {
                    A,
                }
            ),
            quote!(
                struct X(u8);
            ),
            quote!(
                struct X<T> {
                    a: T,
                }
            ),
            quote!(union X { a: u8 }),
        ] {
            assert_eq!(messages(derive(item)).len(), 1);
        }
    }
}
