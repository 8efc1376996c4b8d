struct Keyed;
const _: () = {
    #[automatically_derived]
    impl crate::__private::Component for Keyed {
        type Options = Keys;
        const NAMESPACE: &'static str = "";
        fn instance() -> &'static Self {
            static INSTANCE: Keyed = Keyed;
            &INSTANCE
        }
    }
    #[automatically_derived]
    impl crate::__private::Declared for Keyed {
        const DECLARATION: &'static crate::__private::Declaration = &{
            let mut declaration = crate::__private::Declaration::new("keyed", "Keyed");
            declaration.description = "";
            declaration.key_option = ::core::option::Option::Some("api_key");
            declaration.shared = true;
            declaration.options = <Keys as crate::__private::Options>::DECLARATION;
            declaration
        };
    }
    crate::__private::inventory::submit! {
        crate ::__private::Registration::new:: < Keyed > ()
    }
    const _: () = ::core::assert!(
        < Keys as crate ::__private::Options > ::DECLARATION.has("api_key"),
        "`Keys` has no field `api_key`: `key_option` names a secure field of the options"
    );
    const _: () = ::core::assert!(
        ! < Keys as crate ::__private::Options > ::DECLARATION.has("api_key") || < Keys
        as crate ::__private::Options > ::DECLARATION.has_secure("api_key"),
        "`api_key` of `Keys` is not secure: make it a `api_key: Secret`"
    );
    const _: () = ::core::assert!(
        ! < Keys as crate ::__private::Options > ::DECLARATION.has_secure("api_key") || <
        Keys as crate ::__private::Options > ::DECLARATION.has_required("api_key"),
        "`api_key` of `Keys` may be empty, and without a key nobody is authorized: make it a `api_key: Secret`"
    );
};
