//! What the tests of several macros share.

use proc_macro2::{TokenStream, TokenTree};

/// The texts of the `compile_error!`s in `tokens`, in order.
pub(crate) fn messages(tokens: TokenStream) -> Vec<String> {
    let mut found = Vec::new();
    let mut before: [Option<String>; 2] = [None, None];
    for token in tokens {
        if let TokenTree::Group(group) = &token {
            let [name, bang] = &before;
            if name.as_deref() == Some("compile_error") && bang.as_deref() == Some("!") {
                if let Ok(text) = syn::parse2::<syn::LitStr>(group.stream()) {
                    found.push(text.value());
                }
            } else {
                found.extend(messages(group.stream()));
            }
        }
        let [_, last] = before;
        before = [last, Some(token.to_string())];
    }
    found
}

/// Compares an expansion with `tests/output/NAME.rs`; with `UPDATE_SNAPSHOTS=1` writes it there.
#[track_caller]
pub(crate) fn snapshot(name: &str, tokens: TokenStream) {
    let text = match syn::parse2(tokens.clone()) {
        Ok(file) => prettyplease::unparse(&file),
        Err(error) => panic!("{name}: the expansion is not valid Rust: {error}\n{tokens}"),
    };
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/output").join(format!("{name}.rs"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == expected,
        "the expansion of `{name}` has changed; look at it, and run again with UPDATE_SNAPSHOTS=1 if it is right:\n{text}"
    );
}
