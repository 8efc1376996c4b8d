impl Connector for GitHub {
    async fn get_channels(&self) {}
    #[cfg(feature = "write")]
    async fn on_create_link(&self) {}
}
#[automatically_derived]
impl ::connector_core::__private::HooksOf for GitHub {
    const HOOKS: ::connector_core::__private::Hooks = {
        let mut hooks = ::connector_core::__private::Hooks::NONE;
        {
            hooks = hooks.with(::connector_core::__private::Hooks::GET_CHANNELS);
        }
        #[cfg(feature = "write")]
        {
            hooks = hooks.with(::connector_core::__private::Hooks::CREATE_LINK);
        }
        hooks
    };
}
#[cfg(feature = "write")]
const _: () = ::core::assert!(
    < GitHub as ::connector_core::__private::Declared > ::DECLARATION
    .calls(::connector_core::__private::Hooks::CREATE_LINK),
    "nothing calls `on_create_link`, as `GitHub` does not declare a link type with `compose`: add that to its `#[connector(…)]`, or leave the hook out"
);
