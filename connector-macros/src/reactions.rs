//! `reactions(…)`, of a connector and of a link type (R1.9).

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::{LitStr, Token};

use crate::attrs::{Arg, check_distinct};
use crate::errors::Errors;

const FORMS: &str = "write `reactions(unicode)`, `reactions(unicode, custom)`, `reactions(subset = [\"👍\"])` or `reactions(fixed = [\"👍\" = \"+1\"])`";

/// The reactions that a service takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reactions {
    Unicode { custom: bool },
    Subset(Vec<String>),
    Fixed(Vec<(String, String)>),
}

struct Pair {
    emoji: LitStr,
    name: LitStr,
}

impl Parse for Pair {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let emoji = input.parse()?;
        input.parse::<Token![=]>()?;
        Ok(Self { emoji, name: input.parse()? })
    }
}

impl Reactions {
    /// Reads `reactions(…)`.
    pub(crate) fn parse(arg: &Arg, errors: &Errors) -> Option<Self> {
        if arg.raw_list().is_none() {
            errors.at(arg.tokens(), FORMS);
            return None;
        }
        let args = arg.args(errors);
        args.check("`reactions`", &["unicode", "custom", "subset", "fixed"], &[], errors);
        let kinds: Vec<_> = ["unicode", "subset", "fixed"].into_iter().filter_map(|kind| args.get(kind)).collect();
        let [kind] = kinds.as_slice() else {
            match kinds.get(1) {
                Some(second) => errors.at(&second.name, format!("a service takes reactions of one kind: {FORMS}")),
                // A name that is wrong has been reported already.
                None if args.iter().any(|arg| arg.name() != "custom") => {}
                None => errors.at(arg.tokens(), FORMS),
            }
            return None;
        };
        if let Some(custom) = args.get("custom").filter(|_| kind.name() != "unicode") {
            errors
                .at(&custom.name, "the workspace's own emoji come beside all of unicode: `reactions(unicode, custom)`");
        }
        match kind.name().as_str() {
            "unicode" => kind.flag(errors).then(|| Self::Unicode { custom: args.flag("custom", errors) }),
            "subset" => {
                let emoji: Vec<LitStr> = kind.list("emoji in quotes", errors);
                some_distinct(kind, &emoji, errors);
                Some(Self::Subset(emoji.iter().map(LitStr::value).collect()))
            }
            _ => {
                let pairs: Vec<Pair> = kind.list("pairs `\"👍\" = \"+1\"`", errors);
                some_distinct(kind, pairs.iter().map(|pair| &pair.emoji), errors);
                Some(Self::Fixed(pairs.iter().map(|pair| (pair.emoji.value(), pair.name.value())).collect()))
            }
        }
    }

    /// A constant expression of core's type `Reactions`.
    pub(crate) fn expand(&self, private: &TokenStream) -> TokenStream {
        match self {
            Self::Unicode { custom } => quote!(#private::Reactions::Unicode { custom: #custom }),
            Self::Subset(emoji) => quote!(#private::Reactions::Subset { emoji: &[#(#emoji),*] }),
            Self::Fixed(pairs) => {
                let pairs = pairs.iter().map(|(emoji, name)| quote!((#emoji, #name)));
                quote!(#private::Reactions::Fixed { set: &[#(#pairs),*] })
            }
        }
    }
}

fn some_distinct<'a>(arg: &Arg, emoji: impl IntoIterator<Item = &'a LitStr> + Clone, errors: &Errors) {
    if arg.value_tokens().to_string() == "[]" {
        errors.at(arg.tokens(), "there is no emoji in the list: a connector without reactions has no `reactions`");
    }
    for emoji in emoji.clone() {
        let text = emoji.value();
        // Every emoji has a character from beyond Latin-1, but for © and ® (UTS 51, emoji-data.txt); digits begin keycaps.
        let is_emoji = text.chars().any(|c| c > '\u{2000}' || matches!(c, '©' | '®'))
            && !text.chars().any(|c| c.is_alphabetic() || c.is_whitespace());
        if !is_emoji {
            errors.at(emoji, "this is no emoji: write the character itself, as in `\"👍\"`");
        }
    }
    check_distinct(emoji.into_iter().map(|emoji| (emoji.value(), emoji.span())), "emoji", errors);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attrs::Args;

    fn parse(tokens: TokenStream) -> Result<Reactions, Vec<String>> {
        let errors = Errors::default();
        let args = Args::parse(tokens, &errors);
        let reactions = args.get("reactions").and_then(|arg| Reactions::parse(arg, &errors));
        if errors.is_empty() { Ok(reactions.unwrap()) } else { Err(crate::tests::messages(errors.into_tokens())) }
    }

    /// R1.9
    #[test]
    fn there_are_three_kinds_of_reactions() {
        assert_eq!(parse(quote!(reactions(unicode))), Ok(Reactions::Unicode { custom: false }));
        assert_eq!(parse(quote!(reactions(unicode, custom))), Ok(Reactions::Unicode { custom: true }));
        assert_eq!(
            parse(quote!(reactions(subset = ["👍", "👎"]))),
            Ok(Reactions::Subset(vec!["👍".into(), "👎".into()]))
        );
        assert_eq!(
            parse(quote!(reactions(fixed = ["👍" = "+1"]))),
            Ok(Reactions::Fixed(vec![("👍".into(), "+1".into())]))
        );
    }

    /// R1.12
    #[test]
    fn mistakes_in_reactions_say_what_is_allowed() {
        assert_eq!(parse(quote!(reactions)), Err(vec![FORMS.to_owned()]));
        assert_eq!(parse(quote!(reactions(custom))), Err(vec![FORMS.to_owned()]));
        assert!(
            parse(quote!(reactions(unicode, subset = ["👍"]))).unwrap_err()[0]
                .starts_with("a service takes reactions of one kind")
        );
        assert!(
            parse(quote!(reactions(subset = ["👍"], custom))).unwrap_err()[0].starts_with("the workspace's own emoji")
        );
        assert_eq!(parse(quote!(reactions(subset = ["👍", "👍"]))).unwrap_err()[0], "the emoji `👍` is used twice");
        assert!(parse(quote!(reactions(fixed = ["👍"]))).unwrap_err()[0].contains("pairs"));
        assert_eq!(parse(quote!(reactions(unicod))).unwrap_err().len(), 1);
    }
}
