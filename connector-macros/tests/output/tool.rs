/// The people of the account.
pub struct Contacts;
const _: () = {
    #[automatically_derived]
    impl ::connector_core::__private::UsesTool<Client> for Contacts {}
    #[automatically_derived]
    impl ::connector_core::__private::Component for Contacts {
        type Options = ();
        const NAMESPACE: &'static str = "contacts";
        fn instance() -> &'static Self {
            static INSTANCE: Contacts = Contacts;
            &INSTANCE
        }
    }
    #[automatically_derived]
    impl ::connector_core::__private::DeclaredTool for Contacts {
        const DECLARATION: &'static ::connector_core::__private::ToolDeclaration = &::connector_core::__private::ToolDeclaration::new::<
            Contacts,
        >("contacts")
            .description("The people of the account.")
            .urls(&["https://people.example.com/*"])
            .scopes(&["contacts.read"])
            .tools(&[::connector_core::__private::tool_declaration::<Client>]);
    }
};
