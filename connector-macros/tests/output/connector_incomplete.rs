struct Example;
const _: () = {
    #[automatically_derived]
    impl ::connector_core::__private::Component for Example {
        type Options = ();
        const NAMESPACE: &'static str = "";
        fn instance() -> &'static Self {
            static INSTANCE: Example = Example;
            &INSTANCE
        }
    }
    #[automatically_derived]
    impl ::connector_core::__private::Declared for Example {
        const DECLARATION: &'static ::connector_core::__private::Declaration = &{
            let mut declaration = ::connector_core::__private::Declaration::new(
                "example",
                "Example",
            );
            declaration.incomplete = true;
            declaration.description = "";
            declaration
        };
    }
};
::core::compile_error! {
    "`provider =` has no value"
}
::core::compile_error! {
    "`#[connector]` has no argument `ur`: there are `id`, `name`, `logo`, `provider`, `scopes`, `shared`, `key_option`, `single_channel`, `fixed_channels`, `hidden_channels`, `channel_noun`, `auto_enable_new_channels`, `link_types`, `dynamic_link_types`, `reactions`, `handle_replies`, `multiple_instances`, `products`, `access`, `urls`, `errors`, `quota`, `options`, `tools`, `version`, `crate`"
}
::core::compile_error! {
    "scopes are asked of a provider: add `provider = …`, or leave `scopes` out"
}
