struct GitHub;
const _: () = {
    #[automatically_derived]
    impl ::connector_core::__private::Component for GitHub {
        type Options = ();
        const NAMESPACE: &'static str = "";
        fn instance() -> &'static Self {
            static INSTANCE: GitHub = GitHub;
            &INSTANCE
        }
    }
    #[automatically_derived]
    impl ::connector_core::__private::Declared for GitHub {
        const DECLARATION: &'static ::connector_core::__private::Declaration = &{
            let mut declaration = ::connector_core::__private::Declaration::new(
                "git-hub",
                "Git Hub",
            );
            declaration.description = "";
            declaration
        };
    }
    ::connector_core::__private::inventory::submit! {
        ::connector_core::__private::Registration::new:: < GitHub > ()
    }
};
