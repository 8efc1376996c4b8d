//! `#[tool]`, on a struct and on an impl block.

#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{LitStr, Path};

use crate::attrs::{self, Args};
use crate::errors::Errors;
use crate::item::{Item, Struct};
use crate::paths::Paths;
use crate::{callback, case, connector, docs, url_pattern};

const ARGUMENTS: [&str; 5] = ["id", "urls", "scopes", "tools", "crate"];

/// Expands `#[tool(…)]`.
pub(crate) fn expand(attr: TokenStream, item: TokenStream) -> TokenStream {
    let errors = Errors::default();
    let args = Args::parse(attr, &errors);
    let paths = Paths::new(&args, &errors);
    match Item::read(item.clone()) {
        Item::Struct(target) => {
            let declaration = declare(&args, &target, &paths, errors);
            quote!(#item #declaration)
        }
        Item::Impl(block) => match &block.trait_path {
            Some(path) => {
                errors.at(path, "`#[tool]` stands on the struct and on `impl` blocks with callbacks; `impl Tool` needs no attribute");
                let errors = errors.into_tokens();
                quote!(#item #errors)
            }
            None => {
                args.check("`#[tool]` on an `impl` block", &["crate"], &[], &errors);
                callback::expand_block(*block, &paths, errors)
            }
        },
        Item::Other => connector::misplaced("tool", &item),
    }
}

fn declare(args: &Args, target: &Struct, paths: &Paths, errors: Errors) -> TokenStream {
    args.check("`#[tool]`", &ARGUMENTS, &[], &errors);
    target.check_not_generic("tool", &errors);
    let Struct { ident, .. } = target;
    let private = paths.private();
    let id = args.string("id", &errors).unwrap_or_else(|| LitStr::new(&case::kebab(&ident.to_string()), ident.span()));
    attrs::check_id(&id, '-', &errors);
    let urls = args.strings("urls", &errors);
    urls.iter().for_each(|url| url_pattern::check(url, &errors));
    let scopes = args.strings("scopes", &errors);
    attrs::check_distinct(scopes.iter().map(|scope| (scope.value(), scope.span())), "scope", &errors);
    let tools: Vec<Path> = args.get("tools").map(|arg| arg.list("tools", &errors)).unwrap_or_default();
    let description = docs::description(&target.attrs);
    let instance = connector::instance(target);
    let uses = connector::uses_tools(ident, &tools, &private);
    let errors = errors.into_tokens();
    let generics = !target.generics.params.is_empty();
    let implementations = (!generics).then(|| {
        quote! {
            const _: () = {
                #uses

                #[automatically_derived]
                impl #private::Component for #ident {
                    type Options = ();
                    const NAMESPACE: &'static str = #id;
                    #instance
                }

                #[automatically_derived]
                impl #private::DeclaredTool for #ident {
                    const DECLARATION: &'static #private::ToolDeclaration = &#private::ToolDeclaration::new::<#ident>(#id)
                        .description(#description)
                        .urls(&[#(#urls),*])
                        .scopes(&[#(#scopes),*])
                        .tools(&[#(#private::tool_declaration::<#tools>),*]);
                }
            };
        }
    });
    quote!(#implementations #errors)
}
