//! The items that `#[connector]` and `#[tool]` stand on. Only signatures are read: bodies stay as they
//! came, so that a half-typed one does not stop the expansion.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, Generics, ItemImpl, Path, Signature, Token, Type, Visibility};

use crate::errors::Errors;

/// Where an attribute stands.
pub(crate) enum Item {
    /// `struct X …`
    Struct(Struct),
    /// `impl …`
    Impl(Box<Impl>),
    /// Anything else, or something that is still being typed.
    Other,
}

/// The head of a struct.
pub(crate) struct Struct {
    /// Its attributes, with the doc comment.
    pub(crate) attrs: Vec<Attribute>,
    /// Its name.
    pub(crate) ident: Ident,
    /// Its generics.
    pub(crate) generics: Generics,
    /// It has no fields, so its name is its value.
    pub(crate) is_unit: bool,
}

/// An impl block.
pub(crate) struct Impl {
    /// What stands before the braces.
    head: TokenStream,
    /// The braces.
    braces: Group,
    /// The generics of the block.
    pub(crate) generics: Generics,
    /// The trait, in an impl of one.
    pub(crate) trait_path: Option<Path>,
    /// The type.
    pub(crate) self_ty: Type,
    /// What is in the braces, in order.
    pub(crate) members: Vec<Member>,
}

/// One thing in an impl block.
pub(crate) enum Member {
    /// A method.
    Method(Box<Method>),
    /// A macro, whose items cannot be seen.
    Macro(TokenStream),
    /// A constant, a type, or what could not be read.
    Other(TokenStream),
}

/// A method, whose body is not read.
pub(crate) struct Method {
    /// Its attributes.
    pub(crate) attrs: Vec<Attribute>,
    /// Its visibility.
    pub(crate) vis: Visibility,
    /// Its signature.
    pub(crate) sig: Signature,
    /// Its body, with the braces.
    body: TokenStream,
}

impl ToTokens for Method {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self { attrs, vis, sig, body } = self;
        tokens.extend(quote!(#(#attrs)* #vis #sig #body));
    }
}

impl ToTokens for Member {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Method(method) => method.to_tokens(tokens),
            Self::Macro(other) | Self::Other(other) => other.to_tokens(tokens),
        }
    }
}

impl ToTokens for Impl {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let members = &self.members;
        let mut braces = Group::new(Delimiter::Brace, quote!(#(#members)*));
        braces.set_span(self.braces.span());
        self.head.to_tokens(tokens);
        braces.to_tokens(tokens);
    }
}

impl Impl {
    /// Reports what no impl block of ours may have. `what` is what cannot be generic.
    pub(crate) fn check_not_generic(&self, what: &str, errors: &Errors) {
        if !self.generics.params.is_empty() {
            errors.at(&self.generics, not_generic(what));
        }
    }
}

impl Struct {
    /// Reports generics.
    pub(crate) fn check_not_generic(&self, what: &str, errors: &Errors) {
        if !self.generics.params.is_empty() {
            errors.at(&self.generics, not_generic(what));
        }
    }
}

fn not_generic(what: &str) -> String {
    format!(
        "a {what} cannot be generic, because it is registered by itself as one type: declare a struct for each type that you need"
    )
}

impl Item {
    /// Finds out what `item` is.
    pub(crate) fn read(item: TokenStream) -> Self {
        match keyword(item.clone()).as_deref() {
            Some("struct") => Struct::parse.parse2(item).map_or(Self::Other, Self::Struct),
            Some("impl") => read_impl(item).map_or(Self::Other, |block| Self::Impl(Box::new(block))),
            _ => Self::Other,
        }
    }
}

/// The word that says what an item is, behind its attributes and visibility.
fn keyword(item: TokenStream) -> Option<String> {
    let words = item.into_iter().filter_map(|token| match token {
        TokenTree::Ident(word) => Some(word.to_string()),
        _ => None,
    });
    words.into_iter().find(|word| !matches!(word.as_str(), "pub" | "unsafe" | "default"))
}

impl Struct {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        input.parse::<Visibility>()?;
        input.parse::<Token![struct]>()?;
        let head = Self { attrs, ident: input.parse()?, generics: input.parse()?, is_unit: input.peek(Token![;]) };
        input.parse::<TokenStream>()?;
        Ok(head)
    }
}

fn read_impl(item: TokenStream) -> Option<Impl> {
    let mut head: Vec<TokenTree> = item.into_iter().collect();
    let Some(TokenTree::Group(braces)) = head.pop().filter(is_braces) else {
        return None;
    };
    let head: TokenStream = head.into_iter().collect();
    let empty: ItemImpl = syn::parse2(quote!(#head {})).ok()?;
    let members = read_members.parse2(braces.stream()).ok()?;
    Some(Impl {
        head,
        braces,
        generics: empty.generics,
        trait_path: empty.trait_.map(|(path, _)| path),
        self_ty: *empty.self_ty,
        members,
    })
}

fn is_braces(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

fn read_members(input: ParseStream<'_>) -> syn::Result<Vec<Member>> {
    let mut members = Vec::new();
    while !input.is_empty() {
        members.push(match input.fork().call(Method::parse) {
            Ok(_) => Member::Method(Box::new(input.call(Method::parse)?)),
            Err(_) => read_other(input)?,
        });
    }
    Ok(members)
}

impl Method {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let sig = input.parse()?;
        let body: TokenTree = input.parse()?;
        if !is_braces(&body) {
            return Err(syn::Error::new(body.span(), "expected a body"));
        }
        Ok(Self { attrs, vis, sig, body: body.into() })
    }
}

/// Takes everything to the next `;` or `}`.
fn read_other(input: ParseStream<'_>) -> syn::Result<Member> {
    let mut tokens = Vec::new();
    let mut bang = false;
    let mut is_macro = false;
    while !input.is_empty() {
        let token: TokenTree = input.parse()?;
        let punct = match &token {
            TokenTree::Punct(punct) => Some(punct.as_char()),
            _ => None,
        };
        let ends = punct == Some(';') || is_braces(&token);
        is_macro |= bang && matches!(token, TokenTree::Group(_)) && !tokens.iter().any(is_equals);
        bang = punct == Some('!');
        tokens.push(token);
        if ends {
            break;
        }
    }
    let tokens = tokens.into_iter().collect();
    Ok(if is_macro { Member::Macro(tokens) } else { Member::Other(tokens) })
}

fn is_equals(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == '=')
}

/// Takes off the invisible brackets that `macro_rules` puts around a type.
pub(crate) fn ungroup(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => ungroup(&group.elem),
        Type::Paren(paren) => ungroup(&paren.elem),
        ty => ty,
    }
}

/// Whether a type has a lifetime that is left to the compiler: `Cow<'_, str>`.
pub(crate) fn borrows(ty: &Type) -> bool {
    fn has_elided(tokens: TokenStream) -> bool {
        let mut quote = false;
        tokens.into_iter().any(|tree| match tree {
            TokenTree::Group(group) => has_elided(group.stream()),
            TokenTree::Punct(punct) => {
                quote = punct.as_char() == '\'';
                false
            }
            TokenTree::Ident(ident) => std::mem::take(&mut quote) && ident == "_",
            TokenTree::Literal(_) => false,
        })
    }
    has_elided(ty.to_token_stream())
}

/// The last word of a path type: `Context` of `core::Context<Self>`.
pub(crate) fn last_word(ty: &Type) -> Option<String> {
    match ungroup(ty) {
        Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
        _ => None,
    }
}

/// `tokens` with `Self` written as `self_ty`, for use outside of the impl block.
pub(crate) fn without_self(tokens: impl ToTokens, self_ty: &Type) -> TokenStream {
    tokens
        .into_token_stream()
        .into_iter()
        .flat_map(|token| match token {
            TokenTree::Ident(word) if word == "Self" => respan(self_ty.to_token_stream(), word.span()),
            TokenTree::Group(group) => {
                let mut inner = Group::new(group.delimiter(), without_self(group.stream(), self_ty));
                inner.set_span(group.span());
                TokenTree::from(inner).into()
            }
            token => TokenStream::from(token),
        })
        .collect()
}

/// `tokens`, for which mistakes are shown at `span`, and whose names mean what they meant.
pub(crate) fn respan(tokens: TokenStream, span: Span) -> TokenStream {
    tokens
        .into_iter()
        .map(|token| match token {
            TokenTree::Group(group) => {
                let mut inner = Group::new(group.delimiter(), respan(group.stream(), span));
                inner.set_span(span.resolved_at(group.span()));
                inner.into()
            }
            mut token => {
                token.set_span(span.resolved_at(token.span()));
                token
            }
        })
        .collect()
}
