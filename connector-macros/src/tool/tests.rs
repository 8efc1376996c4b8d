//! What `#[tool]` emits, and what it says of mistakes.

use proc_macro2::TokenStream;
use quote::quote;

use super::expand;
use crate::tests::{messages, snapshot};

/// R1.15
#[test]
fn a_tool_is_declared() {
    let output = expand(
        quote!(id = "contacts", urls = ["https://people.example.com/*"], scopes = ["contacts.read"], tools = [Client]),
        quote! {
            /// The people of the account.
            pub struct Contacts;
        },
    );
    snapshot("tool", output);
}

/// R1.15
#[test]
fn a_tool_has_callbacks() {
    let output = expand(
        TokenStream::new(),
        quote! {
            impl Contacts {
                #[callback]
                async fn page(&self, cx: &Context<Self>, number: u32) -> Result<()> { Ok(()) }
            }
        },
    );
    snapshot("tool_callbacks", output);
}

/// R1.12
#[test]
fn a_wrong_tool_is_an_error() {
    let output = expand(
        quote!(id = "My Tool", url = ["x"], urls = ["x"]),
        quote!(
            struct Contacts;
        ),
    );
    let messages_found = messages(output);
    assert_eq!(messages_found.len(), 3, "{messages_found:?}");
    assert!(messages_found[0].starts_with("`#[tool]` has no argument `url`: did you mean `urls`?"));
    assert!(messages_found[1].starts_with("`My Tool` is no id in kebab-case"));
    assert!(messages_found[2].starts_with("`x` is no URL pattern"));
    assert_eq!(
        messages(expand(TokenStream::new(), quote!(impl Tool for X {}))),
        ["`#[tool]` stands on the struct and on `impl` blocks with callbacks; `impl Tool` needs no attribute"]
    );
    assert_eq!(
        messages(expand(
            TokenStream::new(),
            quote!(
                fn x() {}
            )
        )),
        ["`#[tool]` only works on a `struct` and on an `impl` block of it"]
    );
}
