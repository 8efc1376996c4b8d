//! Where the generated code finds what it calls.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::Path;

use crate::attrs::Args;
use crate::errors::Errors;

/// The paths of `connector_core`, which `crate = path` moves.
pub(crate) struct Paths {
    core: TokenStream,
}

impl Default for Paths {
    fn default() -> Self {
        Self { core: quote!(::connector_core) }
    }
}

impl Paths {
    /// As the argument `crate` says.
    pub(crate) fn new(args: &Args, errors: &Errors) -> Self {
        let path: Option<Path> = args.get("crate").and_then(|arg| arg.read("the path of a crate", errors));
        path.map(|path| Self { core: path.into_token_stream() }).unwrap_or_default()
    }

    /// `::connector_core::__private`; everything that is emitted is named through it.
    pub(crate) fn private(&self) -> TokenStream {
        let core = &self.core;
        quote!(#core::__private)
    }
}

/// A function that makes the schema of a stored type.
pub(crate) fn stored_schema(private: &TokenStream, ty: &TokenStream) -> TokenStream {
    quote!({
        fn schema() -> #private::serde_json::Value {
            #[allow(unused_imports, reason = "which of them is used depends on the type")]
            use #private::{KnownSchema as _, NamedSchema as _};
            (&#private::Stored::<#ty>::new()).schema()
        }
        schema
    })
}
