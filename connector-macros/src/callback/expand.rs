//! What callbacks become: a message struct for each, and one function that runs them.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{LitStr, Type};

use crate::callback::model::{Argument, ArgumentDefault, Callback, Work};
use crate::docs;
use crate::item::respan;
use crate::paths::{Paths, stored_schema};

/// The messages, each with what makes it a callback.
pub(crate) fn messages(callbacks: &[Callback], self_ty: &Type, paths: &Paths) -> TokenStream {
    callbacks.iter().map(|callback| message(callback, self_ty, paths)).collect()
}

fn message(callback: &Callback, self_ty: &Type, paths: &Paths) -> TokenStream {
    let Callback { cfgs, message, name, output, .. } = callback;
    let private = paths.private();
    let definition = if callback.arguments.is_empty() { unit(callback) } else { fields(callback, paths) };
    let input = callback.input.as_ref().map_or_else(|| quote!(()), Type::to_token_stream);
    let channel = callback.channel().map(|channel| {
        let body = if callback.is_work() {
            // The type is the author's word for it: if it is another one, that is where the mistake is.
            let this = quote_spanned!(channel.ty.span()=> &self.channel);
            quote!(::core::option::Option::Some(#this))
        } else {
            quote!((&self.channel as &dyn ::core::any::Any).downcast_ref())
        };
        quote! {
            fn channel(&self) -> ::core::option::Option<&#private::ChannelId> {
                #body
            }
        }
    });
    // A type that cannot be returned is the mistake, so it is shown there.
    let returned = respan(quote!(<#output as #private::CallbackReturn>::Output), output.span());
    let is_drain = matches!(callback.work, Work::Drain { .. }) && callback.input.is_some();
    let all_bounds = all_bounds([callback], self_ty, paths);
    let drain = is_drain.then(|| {
        quote! {
            #[automatically_derived]
            impl #private::DrainCallback for #message #all_bounds {
                type Id = <#input as ::core::iter::IntoIterator>::Item;
            }
        }
    });
    let sync = matches!(callback.work, Work::Sync { .. }).then(|| {
        quote! {
            #[automatically_derived]
            impl #private::SyncCallback for #message #all_bounds {}
        }
    });
    let called = matches!(callback.work, Work::None | Work::Every { .. }).then(|| {
        quote! {
            #[automatically_derived]
            impl #private::CalledCallback for #message #all_bounds {}
        }
    });
    // Asked on its own, so that the mistake is shown at the argument.
    let checks = callback.arguments.iter().map(|argument| {
        let ty = &argument.ty;
        let check = respan(quote!(#private::callback_argument), ty.span());
        quote!(#check::<#ty>();)
    });
    let check = callback.input.as_ref().map(|ty| {
        let check = respan(quote!(#private::callback_input), ty.span());
        quote!(#check::<#ty>();)
    });
    let stored = stored(callback, paths);
    let text = LitStr::new(&message.unraw().to_string(), Span::call_site());
    let bounds = bounds([callback], paths);
    quote! {
        #(#cfgs)*
        #definition

        #(#cfgs)*
        const _: () = {
            #[automatically_derived]
            impl ::core::fmt::Debug for #message #bounds {
                fn fmt(&self, formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    formatter.debug_struct(#text).finish_non_exhaustive()
                }
            }

            #[automatically_derived]
            impl #private::BoundCallback for #message #all_bounds {
                type Component = #self_ty;
                type Input = #input;
                type Output = #returned;
                const NAME: &'static str = #name;
                #channel
                #stored
            }

            #called
            #drain
            #sync
            #(#checks)*
            #check
        };
    }
}

/// How a message is stored, and read again.
fn stored(callback: &Callback, paths: &Paths) -> TokenStream {
    let message = &callback.message;
    let private = paths.private();
    let arguments = || callback.arguments.iter();
    let count = callback.arguments.len();
    let places: Vec<_> = (0..count).map(|place| format_ident!("place_{place}")).collect();
    let names: Vec<_> = arguments().map(argument_name).collect();
    let types = arguments().map(|argument| &argument.ty);
    let fields: Vec<_> = arguments().map(|argument| &argument.field).collect();
    let read = arguments().zip(&places).zip(&names).map(|((argument, place), name)| match &argument.default {
        ArgumentDefault::None => quote!(#private::argument(#place, #name)?),
        ArgumentDefault::OfType => quote!(#place.unwrap_or_default()),
        ArgumentDefault::Expression(_) => {
            let default = format_ident!("{}", default_name(argument));
            quote!(#place.unwrap_or_else(#message::#default))
        }
    });
    let made = if count == 0 { quote!(Self) } else { quote!(Self { #(#fields: #read),* }) };
    quote! {
        fn encode(&self) -> #private::Encoded {
            #private::ArgumentWriter::new(#count)#(.put(#names, &self.#fields))*.finish()
        }

        fn decode(arguments: &[u8]) -> #private::Decoded<Self> {
            #(let mut #places = #private::no_argument::<#types>();)*
            #private::read_arguments(arguments, &mut [#((#names, &mut #places)),*])?;
            ::core::result::Result::Ok(#made)
        }
    }
}

/// The name under which an argument is stored.
fn argument_name(argument: &Argument) -> String {
    argument.field.unraw().to_string()
}

/// A message with fields.
fn fields(callback: &Callback, paths: &Paths) -> TokenStream {
    let Callback { docs, vis, message, cfgs, .. } = callback;
    let fields = callback.arguments.iter().map(|argument| {
        let Argument { field, ty, docs, .. } = argument;
        quote!(#(#docs)* #vis #field: #ty)
    });
    let defaults = callback.arguments.iter().filter_map(|argument| match &argument.default {
        ArgumentDefault::Expression(expression) => {
            let name = format_ident!("{}", default_name(argument));
            let ty = &argument.ty;
            Some(quote!(fn #name() -> #ty { #expression }))
        }
        _ => None,
    });
    let defaults: Vec<_> = defaults.collect();
    let bounds = bounds([callback], paths);
    let defaults = (!defaults.is_empty()).then(|| quote!(#(#cfgs)* impl #message #bounds { #(#defaults)* }));
    // Where the method is, the compiler shows that a type has the name already.
    let definition = quote_spanned! {message.span()=>
        #(#docs)*
        #[derive(::core::clone::Clone)]
        #[allow(missing_docs, reason = "the parameters of the method say what they are")]
        #vis struct #message #bounds {
            #(#fields,)*
        }
    };
    quote!(#definition #defaults)
}

/// A `where` with what the arguments are to be. The lifetime makes the compiler ask for it where the
/// message is used and not where it is defined, which would be once more for each derived impl.
fn bounds<'a>(callbacks: impl IntoIterator<Item = &'a Callback>, paths: &Paths) -> TokenStream {
    where_clause(callbacks.into_iter().flat_map(|callback| argument_bounds(callback, paths)))
}

/// A `where` with all that must hold for callbacks to run.
fn all_bounds<'a>(callbacks: impl IntoIterator<Item = &'a Callback>, self_ty: &Type, paths: &Paths) -> TokenStream {
    let private = paths.private();
    let component = quote!(for<'__connector> #self_ty: #private::Component);
    let others = callbacks.into_iter().flat_map(|callback| {
        let input = callback.input.as_ref();
        let input = input.map(|ty| quote!(for<'__connector> #ty: #private::CallbackInput));
        argument_bounds(callback, paths).into_iter().chain(input)
    });
    where_clause(std::iter::once(component).chain(others))
}

fn argument_bounds(callback: &Callback, paths: &Paths) -> Vec<TokenStream> {
    let private = paths.private();
    let arguments = callback.arguments.iter();
    arguments.map(|Argument { ty, .. }| quote!(for<'__connector> #ty: #private::CallbackArgument)).collect()
}

fn where_clause(bounds: impl Iterator<Item = TokenStream>) -> TokenStream {
    let bounds: Vec<_> = bounds.collect();
    if bounds.is_empty() { TokenStream::new() } else { quote!(where #(#bounds),*) }
}

fn default_name(argument: &Argument) -> String {
    format!("__connector_default_{}", argument.field.unraw())
}

/// A message without arguments, whose name is its value.
fn unit(callback: &Callback) -> TokenStream {
    let Callback { docs, message, .. } = callback;
    let vis = &callback.vis;
    // Where the method is, the compiler shows that a type has the name already.
    quote_spanned! {message.span()=>
        #(#docs)*
        #[derive(::core::clone::Clone, ::core::marker::Copy)]
        #[allow(missing_docs, reason = "the method says what it is")]
        #vis struct #message;
    }
}

/// The code that runs the callbacks, and the data that says that there are these.
///
/// A callback with a `#[cfg]` has a block of its own, so that its absence moves no other.
pub(crate) fn dispatch(callbacks: &[Callback], self_ty: &Type, paths: &Paths) -> TokenStream {
    let (always, sometimes): (Vec<_>, Vec<_>) = callbacks.iter().partition(|callback| callback.cfgs.is_empty());
    let mut output = if always.is_empty() { TokenStream::new() } else { dispatch_block(&always, self_ty, paths) };
    for callback in sometimes {
        let cfgs = &callback.cfgs;
        let block = dispatch_block(&[callback], self_ty, paths);
        output.extend(quote!(#(#cfgs)* #block));
    }
    output
}

fn dispatch_block(callbacks: &[&Callback], self_ty: &Type, paths: &Paths) -> TokenStream {
    let private = paths.private();
    let arms = callbacks.iter().enumerate().map(|(index, callback)| arm(index, callback, self_ty, paths));
    let entries = callbacks.iter().map(|callback| entry(callback, self_ty, paths));
    let bounds = all_bounds(callbacks.iter().copied(), self_ty, paths);
    quote! {
        const _: () = {
            fn __connector_run<'a>(
                mut call: #private::Call<'a>,
            ) -> #private::BoxFuture<'a, #private::Result<#private::Returned>>
            #bounds
            {
                ::std::boxed::Box::pin(async move {
                    let cx = call.context::<#self_ty>()?;
                    let this = <#self_ty as #private::Component>::instance();
                    match call.index {
                        #(#arms)*
                        _ => #private::no_such_callback(&call),
                    }
                })
            }

            #private::inventory::submit! {
                #private::CallbackBlock::new::<#self_ty>(&[#(#entries),*], __connector_run)
            }
        };
    }
}

fn arm(index: usize, callback: &Callback, self_ty: &Type, paths: &Paths) -> TokenStream {
    let Callback { message, method, arguments, .. } = callback;
    let private = paths.private();
    let read = (!arguments.is_empty()).then(|| quote!(let message = call.message::<#message>()?;));
    let fields = arguments.iter().map(|Argument { field, .. }| quote!(message.#field));
    let (take, input) = match (&callback.input, &callback.work) {
        (None, _) => (None, None),
        (Some(ty), Work::Sync { .. }) => {
            let input = quote_spanned!(ty.span()=> let input: ::core::option::Option<_> = call.input::<#ty>()?;);
            (Some(input), Some(quote!(input)))
        }
        (Some(ty), Work::Drain { .. }) => {
            let input = quote_spanned!(ty.span()=> let input: ::std::vec::Vec<_> = call.ids::<<#ty as ::core::iter::IntoIterator>::Item>()?;);
            (Some(input), Some(quote!(input)))
        }
        (Some(ty), Work::Webhook(_)) => {
            let input = quote_spanned!(ty.span()=> let input: #private::Verified<#private::WebhookRequest> = call.input::<#ty>()?;);
            (Some(input), Some(quote!(input)))
        }
        (Some(ty), _) => (Some(quote!(let input = call.input::<#ty>()?;)), Some(quote!(input))),
    };
    let arguments = fields.chain(input);
    // What is wrong with the future is shown at the method's name, a wrong context at its type.
    let at = method.span().resolved_at(Span::call_site());
    let cx = quote_spanned!(callback.context.resolved_at(Span::call_site())=> &cx);
    let must_be_send = respan(quote!(#private::callback_future_must_be_send), at);
    let future = quote_spanned!(at=> #must_be_send(<#self_ty>::#method(this, #cx, #(#arguments),*)).await);
    let item = callback.input.as_ref().map(|ty| quote!(<#ty as ::core::iter::IntoIterator>::Item));
    let returned = match callback.work {
        Work::Sync { .. } => quote!(#private::returned_step::<#item, _>(#future)),
        Work::Drain { .. } => quote!(#private::returned_drain::<#item, _>(#future)),
        _ => quote!(#private::returned(#future)),
    };
    quote! {
        #index => {
            #read
            #take
            #returned
        }
    }
}

fn entry(callback: &Callback, self_ty: &Type, paths: &Paths) -> TokenStream {
    let Callback { message, name, aliases, output, .. } = callback;
    let private = paths.private();
    let description = docs::description(&callback.docs);
    let arguments = if callback.arguments.is_empty() {
        quote!(|_| {})
    } else {
        let bounds = bounds([callback], paths);
        let each = callback.arguments.iter().map(|argument| {
            let (ty, name, text) = (&argument.ty, argument_name(argument), docs::description(&argument.docs));
            match &argument.default {
                ArgumentDefault::None => quote!(to.argument::<#ty>(#name, #text);),
                ArgumentDefault::OfType => {
                    quote!(to.argument_or::<#ty>(#name, #text, ::core::default::Default::default);)
                }
                ArgumentDefault::Expression(_) => {
                    let default = format_ident!("{}", default_name(argument));
                    quote!(to.argument_or::<#ty>(#name, #text, #message::#default);)
                }
            }
        });
        quote!({
            fn arguments(to: &mut #private::ArgumentsSchema) #bounds {
                #(#each)*
            }
            arguments
        })
    };
    let mut entry = quote!(#private::CallbackEntry::new(#name, #description, #arguments));
    if !aliases.is_empty() {
        entry.extend(quote!(.aliases(&[#(#aliases),*])));
    }
    if let Some(work) = callback.work.expand(paths) {
        let per_channel = callback.channel().is_some();
        entry.extend(quote!(.work(#work, #per_channel)));
    }
    if let Some(product) = &callback.product {
        entry.extend(quote!(.product(#product)));
    }
    if let Some(input) = &callback.input {
        let schema = stored_schema(&private, &quote!(#input));
        entry.extend(quote!(.input(#schema)));
    }
    if callback.input.is_some() && !callback.is_work() {
        let bounds = all_bounds([callback], self_ty, paths);
        let returns = stored_schema(&private, &quote!(<#output as #private::CallbackReturn>::Output));
        entry.extend(quote!(.returns(#returns)));
        entry.extend(quote!(.output({
            fn output(value: &dyn ::core::any::Any) -> #private::Result<#private::serde_json::Value> #bounds {
                #[allow(unused_imports, reason = "which of them is used depends on the type")]
                use #private::{JsonOutput as _, OtherOutput as _};
                (&#private::Output::<<#message as #private::BoundCallback>::Output>::new()).show(value)
            }
            output
        })));
    }
    if callback.is_subscribed() {
        let at = callback.method.span().resolved_at(Span::call_site());
        let of = quote_spanned!(at=> #private::SubscriptionFns::of::<#message>());
        entry.extend(quote!(.subscription(#of)));
    }
    entry
}
