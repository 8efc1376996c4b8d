//! The arguments of our attributes: `flag`, `name = value`, `name(list)`.

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Expr, ExprLit, Ident, Lit, LitBool, LitStr, Meta, Token};

use crate::did_you_mean;
use crate::errors::Errors;

/// One argument.
#[derive(Clone)]
pub(crate) struct Arg {
    /// Its name, with the span of what the author wrote.
    pub(crate) name: Ident,
    /// What follows it.
    value: Value,
}

#[derive(Clone)]
enum Value {
    /// Nothing: a flag.
    Flag,
    /// `= value`.
    Is(TokenStream),
    /// `(list)`.
    List(TokenStream),
}

/// The arguments of one attribute, or of one nested list.
#[derive(Clone, Default)]
pub(crate) struct Args(Vec<Arg>);

impl Args {
    /// Reads arguments. One that cannot be read is reported, and the others are still there.
    pub(crate) fn parse(tokens: TokenStream, errors: &Errors) -> Self {
        Self(split(tokens).into_iter().filter_map(|piece| errors.ok(syn::parse2(piece))).collect())
    }

    /// Reads the arguments of an attribute: `#[name]`, `#[name(…)]`.
    pub(crate) fn of(attr: &Attribute, errors: &Errors) -> Self {
        match &attr.meta {
            Meta::Path(_) => Self::default(),
            Meta::List(list) => Self::parse(list.tokens.clone(), errors),
            Meta::NameValue(value) => {
                let name = name_of(&value.path);
                errors.at(value, format!("write `#[{name}(…)]`, with the arguments in parentheses"));
                Self::default()
            }
        }
    }

    /// Reports every argument that is not in `known`, and every one that is there twice, unless it
    /// is in `repeatable`. `owner` is what has the arguments: `` `#[connector]` ``.
    pub(crate) fn check(&self, owner: &str, known: &[&str], repeatable: &[&str], errors: &Errors) {
        for (index, arg) in self.0.iter().enumerate() {
            let name = arg.name();
            if !known.contains(&name.as_str()) {
                let hint = did_you_mean::hint(&name, known.iter().copied());
                errors.at(&arg.name, format!("{owner} has no argument `{name}`: {hint}"));
            } else if !repeatable.contains(&name.as_str()) {
                let first = self.0.iter().take(index).find(|first| first.name() == name);
                self.repeated(first, arg, errors);
            }
        }
    }

    /// Reports every name that is there twice, for lists whose names are the author's.
    pub(crate) fn check_unique(&self, errors: &Errors) {
        for (index, arg) in self.0.iter().enumerate() {
            self.repeated(self.0.iter().take(index).find(|first| first.name() == arg.name()), arg, errors);
        }
    }

    fn repeated(&self, first: Option<&Arg>, second: &Arg, errors: &Errors) {
        if let Some(first) = first {
            let mut error = syn::Error::new(second.name.span(), format!("`{}` is given twice", second.name()));
            error.combine(syn::Error::new(first.name.span(), "it is given here first"));
            errors.push(error);
        }
    }

    /// The first argument with this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Arg> {
        self.0.iter().find(|arg| arg.name() == name)
    }

    /// All arguments with this name.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &Arg> {
        self.0.iter().filter(move |arg| arg.name() == name)
    }

    /// All arguments.
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Arg> {
        self.0.iter()
    }

    /// Whether this flag is set; false without it.
    pub(crate) fn flag(&self, name: &str, errors: &Errors) -> bool {
        self.get(name).is_some_and(|arg| arg.flag(errors))
    }

    /// The text of this argument; see [`Arg::text`].
    pub(crate) fn text(&self, name: &str, errors: &Errors) -> Option<Expr> {
        self.get(name).and_then(|arg| arg.text(errors))
    }

    /// The string literal of this argument.
    pub(crate) fn string(&self, name: &str, errors: &Errors) -> Option<LitStr> {
        self.get(name).and_then(|arg| arg.string(errors))
    }

    /// The string literals of this argument; none without it.
    pub(crate) fn strings(&self, name: &str, errors: &Errors) -> Vec<LitStr> {
        self.get(name).map(|arg| arg.strings(errors)).unwrap_or_default()
    }
}

impl Parse for Arg {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if !input.peek(Ident::peek_any) {
            return Err(input.error("expected an argument: `name`, `name = value` or `name(…)`"));
        }
        let name = Ident::parse_any(input)?;
        let value = if input.is_empty() {
            Value::Flag
        } else if input.peek(Token![=]) {
            let equals: Token![=] = input.parse()?;
            if input.is_empty() {
                return Err(syn::Error::new(equals.span, format!("`{name} =` has no value")));
            }
            Value::Is(input.parse()?)
        } else if input.peek(syn::token::Paren) {
            let list;
            syn::parenthesized!(list in input);
            Value::List(list.parse()?)
        } else {
            return Err(input.error(format!("expected `=`, `(…)` or `,` after `{name}`")));
        };
        if input.is_empty() { Ok(Self { name, value }) } else { Err(input.error("expected `,`")) }
    }
}

impl Arg {
    /// Its name as a text.
    pub(crate) fn name(&self) -> String {
        self.name.unraw().to_string()
    }

    /// Name and value, to report something about the whole.
    pub(crate) fn tokens(&self) -> TokenStream {
        let name = &self.name;
        match &self.value {
            Value::Flag => quote!(#name),
            Value::Is(value) => quote!(#name = #value),
            // The parentheses have no place of their own in the source, so they would widen it to the whole.
            Value::List(_) => quote!(#name),
        }
    }

    /// What a mistake in the value is reported at.
    pub(crate) fn value_tokens(&self) -> TokenStream {
        match &self.value {
            Value::Is(value) | Value::List(value) if !value.is_empty() => value.clone(),
            _ => self.name.to_token_stream(),
        }
    }

    /// Whether it is a bare flag.
    pub(crate) fn is_bare(&self) -> bool {
        matches!(self.value, Value::Flag)
    }

    /// `name`, `name = true` or `name = false`.
    pub(crate) fn flag(&self, errors: &Errors) -> bool {
        match &self.value {
            Value::Flag => true,
            Value::Is(value) if let Ok(value) = syn::parse2::<LitBool>(value.clone()) => value.value,
            _ => {
                let name = &self.name;
                errors.at(
                    self.value_tokens(),
                    format!("`{name}` is a flag: write `{name}`, or `{name} = true` or `{name} = false`"),
                );
                false
            }
        }
    }

    /// `name = value`, of any form. `expected` says what it is: "the path of a type".
    pub(crate) fn read<T: Parse>(&self, expected: &str, errors: &Errors) -> Option<T> {
        let wrong = || errors.at(self.value_tokens(), format!("`{}` takes {expected}: `{0} = …`", self.name()));
        match &self.value {
            Value::Is(value) => syn::parse2(ungroup(value.clone())).map_err(|_| wrong()).ok(),
            _ => {
                wrong();
                None
            }
        }
    }

    /// `name = "text"`.
    pub(crate) fn string(&self, errors: &Errors) -> Option<LitStr> {
        self.read("a text in quotes", errors)
    }

    /// `name = "text"` or `name = CONSTANT`: an expression of type `&'static str`.
    pub(crate) fn text(&self, errors: &Errors) -> Option<Expr> {
        let value: Expr = self.read("a text in quotes, or a constant", errors)?;
        match &value {
            Expr::Lit(ExprLit { lit: Lit::Str(_), .. }) | Expr::Path(_) | Expr::Macro(_) => Some(value),
            _ => {
                errors.at(&value, format!("`{}` takes a text in quotes, or a constant", self.name()));
                None
            }
        }
    }

    /// `name = ["a", "b"]` or `name("a", "b")`.
    pub(crate) fn strings(&self, errors: &Errors) -> Vec<LitStr> {
        self.list("texts in quotes", errors)
    }

    /// `name = [a, b]` or `name(a, b)`; each that cannot be read is reported.
    pub(crate) fn list<T: Parse>(&self, expected: &str, errors: &Errors) -> Vec<T> {
        let wrong = |tokens: TokenStream| {
            let name = self.name();
            errors.at(tokens, format!("`{name}` takes a list of {expected}: `{name} = […]`"));
        };
        let items = match &self.value {
            Value::List(list) => list.clone(),
            Value::Is(value) if let Some(list) = group(ungroup(value.clone()), Delimiter::Bracket) => list,
            _ => {
                wrong(self.value_tokens());
                return Vec::new();
            }
        };
        split(items)
            .into_iter()
            .filter_map(|item| syn::parse2(ungroup(item.clone())).map_err(|_| wrong(item)).ok())
            .collect()
    }

    /// `name(arguments)`; none of any other form, which is reported.
    pub(crate) fn args(&self, errors: &Errors) -> Args {
        self.some_args(errors).unwrap_or_default()
    }

    /// `name(arguments)`; nothing for any other form, which is reported.
    pub(crate) fn some_args(&self, errors: &Errors) -> Option<Args> {
        let list = self.raw_list();
        if list.is_none() {
            errors.at(self.tokens(), format!("`{}` takes arguments: `{0}(…)`", self.name()));
        }
        Some(Args::parse(list?.clone(), errors))
    }

    /// `name = call(arguments)` as the inner argument `call(arguments)`, and `name = word` as `word`.
    pub(crate) fn inner(&self, expected: &str, errors: &Errors) -> Option<Arg> {
        self.read(expected, errors)
    }

    /// The tokens in the parentheses, if it is a list.
    pub(crate) fn raw_list(&self) -> Option<&TokenStream> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }
}

/// Whether `attr` is our attribute `name`: alone, or behind the name of our crate.
pub(crate) fn is_ours(attr: &Attribute, name: &str) -> bool {
    let path = attr.path();
    path.is_ident(name)
        || (path.segments.len() == 2
            && path
                .segments
                .first()
                .is_some_and(|first| matches!(first.ident.to_string().as_str(), "connector_core" | "connector_macros"))
            && path.segments.last().is_some_and(|last| last.ident == name))
}

/// Takes our attributes with this name out of `attrs`.
pub(crate) fn take(attrs: &mut Vec<Attribute>, name: &str) -> Vec<Attribute> {
    attrs.extract_if(.., |attr| is_ours(attr, name)).collect()
}

/// The `#[cfg(…)]`s, which every generated piece gets too.
pub(crate) fn cfgs(attrs: &[Attribute]) -> Vec<Attribute> {
    attrs.iter().filter(|attr| attr.path().is_ident("cfg")).cloned().collect()
}

/// Reports an id that is not lower-case words joined by `separator`.
pub(crate) fn check_id(id: &LitStr, separator: char, errors: &Errors) {
    let value = id.value();
    if crate::case::is_joined(&value, separator) {
        return;
    }
    let (case, good) = if separator == '-' {
        ("kebab-case", crate::case::kebab(&value))
    } else {
        ("snake_case", crate::case::snake(&value))
    };
    let hint = if crate::case::is_joined(&good, separator) && good != value {
        format!(": write `\"{good}\"`")
    } else {
        String::new()
    };
    let problem =
        if value.is_empty() { "an id may not be empty".to_owned() } else { format!("`{value}` is no id in {case}") };
    errors.at(
        id,
        format!(
            "{problem}; it is lower-case letters and digits, a letter first, in words joined by `{separator}`{hint}"
        ),
    );
}

/// Reports an id that is not lower-case words joined by `_`, or by `-` as many services write theirs.
pub(crate) fn check_word_id(id: &LitStr, errors: &Errors) {
    let value = id.value();
    if !crate::case::is_joined(&value, '_') && !crate::case::is_joined(&value, '-') {
        let problem =
            if value.is_empty() { "an id may not be empty".to_owned() } else { format!("`{value}` is no id") };
        let form = "it is lower-case letters and digits, a letter first, in words joined by `_` or by `-`";
        errors.at(id, format!("{problem}: {form}"));
    }
}

/// Reports each id that is there twice. `what` names the thing: "status id".
pub(crate) fn check_distinct(ids: impl IntoIterator<Item = (String, Span)>, what: &str, errors: &Errors) {
    let mut seen: Vec<(String, Span)> = Vec::new();
    for (id, span) in ids {
        if let Some((_, first)) = seen.iter().find(|(other, _)| *other == id) {
            let mut error = syn::Error::new(span, format!("the {what} `{id}` is used twice"));
            error.combine(syn::Error::new(*first, "it is used here first"));
            errors.push(error);
        } else {
            seen.push((id, span));
        }
    }
}

/// The last word of a path, for messages.
fn name_of(path: &syn::Path) -> String {
    path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default()
}

/// Splits at the commas that are in no brackets, round, square, curly or angle.
pub(crate) fn split(tokens: TokenStream) -> Vec<TokenStream> {
    let mut pieces = vec![Vec::new()];
    let mut angles = 0_usize;
    let mut arrow = false;
    for token in tokens {
        if let TokenTree::Punct(punct) = &token {
            match punct.as_char() {
                '<' => angles += 1,
                '>' if !arrow => angles = angles.saturating_sub(1),
                ',' if angles == 0 => {
                    pieces.push(Vec::new());
                    continue;
                }
                _ => {}
            }
            arrow = matches!(punct.as_char(), '-' | '=');
        } else {
            arrow = false;
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push(token);
        }
    }
    pieces
        .into_iter()
        .filter(|piece: &Vec<TokenTree>| !piece.is_empty())
        .map(|piece| piece.into_iter().collect())
        .collect()
}

/// What is in the brackets, if `tokens` are nothing but one pair of them.
fn group(tokens: TokenStream, delimiter: Delimiter) -> Option<TokenStream> {
    let mut tokens = tokens.into_iter();
    match (tokens.next(), tokens.next()) {
        (Some(TokenTree::Group(group)), None) if group.delimiter() == delimiter => Some(group.stream()),
        _ => None,
    }
}

/// Takes off the invisible brackets that `macro_rules` puts around what it passes on.
fn ungroup(mut tokens: TokenStream) -> TokenStream {
    while let Some(inner) = group(tokens.clone(), Delimiter::None) {
        tokens = inner;
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(errors: Errors) -> Vec<String> {
        crate::tests::messages(errors.into_tokens())
    }

    /// R1.12: several mistakes in one declaration are all reported in one compile.
    #[test]
    fn all_mistakes_are_reported() {
        let errors = Errors::default();
        let args = Args::parse(quote!(id = "a", ide = 3, id = "b", 5, shared = , name("x"), other x), &errors);
        args.check("`#[x]`", &["id", "name", "shared"], &[], &errors);
        assert!(args.string("name", &errors).is_none());
        assert_eq!(
            messages(errors),
            [
                "expected an argument: `name`, `name = value` or `name(…)`",
                "`shared =` has no value",
                "expected `=`, `(…)` or `,` after `other`",
                "`#[x]` has no argument `ide`: did you mean `id`? there are `id`, `name`, `shared`",
                "`id` is given twice",
                "it is given here first",
                "`name` takes a text in quotes: `name = …`",
            ]
        );
    }

    /// R1.1
    #[test]
    fn flags_are_bare_or_say_so() {
        let errors = Errors::default();
        let args = Args::parse(quote!(a, b = true, c = false, d = 1), &errors);
        assert!(args.flag("a", &errors) && args.flag("b", &errors));
        assert!(!args.flag("c", &errors) && !args.flag("z", &errors));
        assert!(errors.is_empty());
        assert!(!args.flag("d", &errors));
        assert_eq!(messages(errors), ["`d` is a flag: write `d`, or `d = true` or `d = false`"]);
    }

    /// R1.1
    #[test]
    fn lists_have_two_forms_and_types_may_have_commas() {
        let errors = Errors::default();
        let args = Args::parse(quote!(a = ["x", "y",], b("z"), c = Map<A, B>, d = [3, "w"]), &errors);
        let values = |name| args.strings(name, &errors).iter().map(LitStr::value).collect::<Vec<_>>();
        assert_eq!(values("a"), ["x", "y"]);
        assert_eq!(values("b"), ["z"]);
        assert!(args.get("c").unwrap().read::<syn::Type>("a type", &errors).is_some());
        assert!(errors.is_empty());
        assert_eq!(values("d"), ["w"]);
        assert_eq!(messages(errors), ["`d` takes a list of texts in quotes: `d = […]`"]);
    }

    /// R1.1
    #[test]
    fn our_attributes_are_known_by_name_or_by_crate() {
        let item: syn::ItemStruct = syn::parse_quote! {
            #[callback] #[connector_core::callback] #[other::callback] #[a::connector_core::callback] #[call]
            struct X;
        };
        let mine: Vec<_> = item.attrs.iter().map(|attr| is_ours(attr, "callback")).collect();
        assert_eq!(mine, [true, true, false, false, false]);
    }
}
