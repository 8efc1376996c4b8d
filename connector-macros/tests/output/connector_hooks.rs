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
