//! Doc comments, which become descriptions.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Attribute, Expr, ExprLit, Lit, Meta};

/// The doc comment in `attrs` as a constant expression of type `&'static str`; `""` without one.
/// A line that is a macro (`#[doc = include_str!(…)]`) stays one.
pub(crate) fn description(attrs: &[Attribute]) -> TokenStream {
    let mut parts: Vec<Result<String, TokenStream>> = Vec::new();
    for value in lines(attrs) {
        let line = match value {
            Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) => Ok(line.value()),
            other => Err(other.to_token_stream()),
        };
        match (parts.last_mut(), line) {
            (Some(Ok(text)), Ok(line)) => {
                text.push('\n');
                text.push_str(&line);
            }
            (_, line) => parts.push(line),
        }
    }
    let single = parts.len() <= 1;
    let parts: Vec<_> = parts
        .into_iter()
        .map(|part| match part {
            Ok(text) => tidy(&text).to_token_stream(),
            Err(tokens) => tokens,
        })
        .collect();
    match (single, parts.as_slice()) {
        (_, []) => quote!(""),
        (true, [part]) => part.clone(),
        _ => quote!(::core::concat!(#(#parts),*)),
    }
}

/// The doc attributes themselves, to be put on a generated item.
pub(crate) fn attributes(attrs: &[Attribute]) -> impl Iterator<Item = &Attribute> + Clone {
    attrs.iter().filter(|attr| attr.path().is_ident("doc"))
}

fn lines(attrs: &[Attribute]) -> impl Iterator<Item = &Expr> {
    attributes(attrs).filter_map(|attr| match &attr.meta {
        Meta::NameValue(value) => Some(&value.value),
        _ => None,
    })
}

/// Without the space that a comment begins its lines with, and without blank lines around it.
fn tidy(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect();
    lines.join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    fn of(item: syn::ItemStruct) -> String {
        description(&item.attrs).to_string()
    }

    /// R1.1
    #[test]
    fn a_doc_comment_is_a_description() {
        assert_eq!(
            of(parse_quote!(
                struct X;
            )),
            r#""""#
        );
        assert_eq!(
            of(parse_quote!(
                /** One. */
                struct X;
            )),
            r#""One.""#
        );
        let lines = parse_quote! {
            #[doc = " One,"]
            #[doc = " two."]
            #[derive(Debug)]
            #[doc(hidden)]
            #[doc = ""]
            struct X;
        };
        assert_eq!(of(lines), r#""One,\ntwo.""#);
    }

    /// R1.1
    #[test]
    fn a_doc_comment_from_a_macro_stays_a_macro() {
        let item = parse_quote!(
            #[doc = include_str!("x.md")]
            struct X;
        );
        assert_eq!(of(item), r#"include_str ! ("x.md")"#);
        let item = parse_quote!(
            #[doc = " One."]
            #[doc = include_str!("x.md")]
            struct X;
        );
        assert_eq!(of(item), r#":: core :: concat ! ("One." , include_str ! ("x.md"))"#);
    }
}
