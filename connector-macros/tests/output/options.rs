const _: () = {
    const FIELD_0: ::connector_core::__private::TypedField<bool> = ::connector_core::__private::TypedField::new(
        "pull_requests",
        "Pull requests",
        "Also sync pull requests.",
        ::connector_core::__private::FieldSettings {
            default: ::core::option::Option::Some(
                ::connector_core::__private::FieldDefault::Boolean(true),
            ),
            ..::connector_core::__private::FieldSettings::NONE
        },
    );
    const FIELD_1: ::connector_core::__private::TypedField<u32> = ::connector_core::__private::TypedField::new(
        "history_days",
        "History days",
        "",
        ::connector_core::__private::FieldSettings {
            default: ::core::option::Option::Some(
                ::connector_core::__private::FieldDefault::Number(90f64),
            ),
            min: ::core::option::Option::Some(1f64),
            max: ::core::option::Option::Some(3650f64),
            ..::connector_core::__private::FieldSettings::NONE
        },
    );
    const FIELD_2: ::connector_core::__private::TypedField<Window> = ::connector_core::__private::TypedField::new(
        "window",
        "Window",
        "",
        ::connector_core::__private::FieldSettings {
            default: ::core::option::Option::Some(
                ::connector_core::__private::FieldDefault::Text(
                    <Window>::Week.__connector_choice(),
                ),
            ),
            ..::connector_core::__private::FieldSettings::NONE
        },
    );
    const FIELD_3: ::connector_core::__private::TypedField<Secret> = ::connector_core::__private::TypedField::new(
        "api_key",
        "API key",
        "",
        ::connector_core::__private::FieldSettings {
            placeholder: ::core::option::Option::Some("sk-…"),
            help: ::core::option::Option::Some("In your settings."),
            help_url: ::core::option::Option::Some("https://example.com/keys"),
            ..::connector_core::__private::FieldSettings::NONE
        },
    );
    const _: () = FIELD_0
        .check_default(::connector_core::__private::FieldDefault::Boolean(true));
    const _: () = FIELD_1.check_limit(1f64);
    const _: () = FIELD_1.check_limit(3650f64);
    const _: () = FIELD_1
        .check_default(::connector_core::__private::FieldDefault::Number(90f64));
    const _: () = FIELD_2
        .check_default(
            ::connector_core::__private::FieldDefault::Text(
                <Window>::Week.__connector_choice(),
            ),
        );
    const _: () = FIELD_3.check_text();
    const _: () = FIELD_3.check_text();
    const _: () = FIELD_3.check_text();
    const _: () = FIELD_3.check_secure();
    #[automatically_derived]
    impl ::connector_core::__private::Options for ExampleOptions {
        const DECLARATION: &'static ::connector_core::__private::OptionsDeclaration = &::connector_core::__private::OptionsDeclaration {
            fields: &[FIELD_0.field, FIELD_1.field, FIELD_2.field, FIELD_3.field],
        };
        fn from_values(
            values: &::connector_core::__private::serde_json::Map<
                ::std::string::String,
                ::connector_core::__private::serde_json::Value,
            >,
        ) -> ::core::result::Result<Self, ::connector_core::__private::OptionErrors> {
            let mut reader = ::connector_core::__private::OptionReader::new(values);
            let field_0 = reader.read(&FIELD_0);
            let field_1 = reader.read(&FIELD_1);
            let field_2 = reader.read(&FIELD_2);
            let field_3 = reader.read(&FIELD_3);
            match (field_0, field_1, field_2, field_3) {
                (
                    ::core::option::Option::Some(field_0),
                    ::core::option::Option::Some(field_1),
                    ::core::option::Option::Some(field_2),
                    ::core::option::Option::Some(field_3),
                ) => {
                    ::core::result::Result::Ok(Self {
                        pull_requests: field_0,
                        history_days: field_1,
                        window: field_2,
                        api_key: field_3,
                    })
                }
                _ => ::core::result::Result::Err(reader.into_errors()),
            }
        }
    }
};
