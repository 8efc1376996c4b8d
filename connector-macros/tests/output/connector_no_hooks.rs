impl Connector for GitHub {}
#[automatically_derived]
impl ::connector_core::__private::HooksOf for GitHub {
    const HOOKS: ::connector_core::__private::Hooks = {
        let hooks = ::connector_core::__private::Hooks::NONE;
        hooks
    };
}
