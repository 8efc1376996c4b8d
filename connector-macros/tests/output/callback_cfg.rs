impl GitHub {
    async fn always(&self, cx: &Context<Self>) -> Result<()> {
        Ok(())
    }
    #[cfg(feature = "extra")]
    async fn sometimes(&self, cx: &Context<Self>, page: u32) -> Result<()> {
        Ok(())
    }
}
#[derive(::core::clone::Clone, ::core::marker::Copy)]
#[allow(missing_docs, reason = "the method says what it is")]
struct Always;
const _: () = {
    #[automatically_derived]
    impl ::connector_core::__private::serde::Serialize for Always {
        fn serialize<S: ::connector_core::__private::serde::Serializer>(
            &self,
            serializer: S,
        ) -> ::core::result::Result<S::Ok, S::Error> {
            ::connector_core::__private::serde::Serialize::serialize(
                &::connector_core::__private::NoArguments {
                },
                serializer,
            )
        }
    }
    #[automatically_derived]
    impl<'de> ::connector_core::__private::serde::Deserialize<'de> for Always {
        fn deserialize<D: ::connector_core::__private::serde::Deserializer<'de>>(
            deserializer: D,
        ) -> ::core::result::Result<Self, D::Error> {
            let ::connector_core::__private::NoArguments {} = ::connector_core::__private::serde::Deserialize::deserialize(
                deserializer,
            )?;
            ::core::result::Result::Ok(Self)
        }
    }
    #[automatically_derived]
    impl ::connector_core::__private::schemars::JsonSchema for Always {
        fn schema_name() -> ::std::borrow::Cow<'static, str> {
            ::std::borrow::Cow::Borrowed("Always")
        }
        fn json_schema(
            generator: &mut ::connector_core::__private::schemars::SchemaGenerator,
        ) -> ::connector_core::__private::schemars::Schema {
            <::connector_core::__private::NoArguments as ::connector_core::__private::schemars::JsonSchema>::json_schema(
                generator,
            )
        }
    }
};
const _: () = {
    #[automatically_derived]
    impl ::core::fmt::Debug for Always {
        fn fmt(
            &self,
            formatter: &mut ::core::fmt::Formatter<'_>,
        ) -> ::core::fmt::Result {
            formatter.debug_struct("Always").finish_non_exhaustive()
        }
    }
    #[automatically_derived]
    impl ::connector_core::__private::BoundCallback for Always
    where
        for<'__connector> GitHub: ::connector_core::__private::Component,
    {
        type Component = GitHub;
        type Input = ();
        type Output = <Result<
            (),
        > as ::connector_core::__private::CallbackReturn>::Output;
        const NAME: &'static str = "always";
    }
};
#[cfg(feature = "extra")]
#[derive(
    ::core::clone::Clone,
    ::connector_core::__private::serde::Serialize,
    ::connector_core::__private::serde::Deserialize,
    ::connector_core::__private::schemars::JsonSchema,
)]
#[serde(crate = "::connector_core::__private::serde")]
#[schemars(crate = "::connector_core::__private::schemars")]
#[allow(missing_docs, reason = "the parameters of the method say what they are")]
struct Sometimes
where
    for<'__connector> u32: ::connector_core::__private::CallbackArgument,
{
    #[serde(default = "Sometimes::__connector_default_page")]
    page: u32,
}
#[cfg(feature = "extra")]
impl Sometimes
where
    for<'__connector> u32: ::connector_core::__private::CallbackArgument,
{
    fn __connector_default_page() -> u32 {
        1
    }
}
#[cfg(feature = "extra")]
const _: () = {
    ::connector_core::__private::callback_argument::<u32>();
};
#[cfg(feature = "extra")]
const _: () = {
    #[automatically_derived]
    impl ::core::fmt::Debug for Sometimes
    where
        for<'__connector> u32: ::connector_core::__private::CallbackArgument,
    {
        fn fmt(
            &self,
            formatter: &mut ::core::fmt::Formatter<'_>,
        ) -> ::core::fmt::Result {
            formatter.debug_struct("Sometimes").finish_non_exhaustive()
        }
    }
    #[automatically_derived]
    impl ::connector_core::__private::BoundCallback for Sometimes
    where
        for<'__connector> GitHub: ::connector_core::__private::Component,
        for<'__connector> u32: ::connector_core::__private::CallbackArgument,
    {
        type Component = GitHub;
        type Input = ();
        type Output = <Result<
            (),
        > as ::connector_core::__private::CallbackReturn>::Output;
        const NAME: &'static str = "sometimes";
    }
};
const _: () = {
    fn __connector_run<'a>(
        mut call: ::connector_core::__private::Call<'a>,
    ) -> ::connector_core::__private::BoxFuture<
        'a,
        ::connector_core::__private::Result<::connector_core::__private::Returned>,
    >
    where
        for<'__connector> GitHub: ::connector_core::__private::Component,
    {
        ::std::boxed::Box::pin(async move {
            let cx = call.context::<GitHub>()?;
            let this = <GitHub as ::connector_core::__private::Component>::instance();
            match call.index {
                0usize => {
                    ::connector_core::__private::returned(
                        ::connector_core::__private::callback_future_must_be_send(
                                <GitHub>::always(this, &cx),
                            )
                            .await,
                    )
                }
                _ => ::connector_core::__private::no_such_callback(&call),
            }
        })
    }
    ::connector_core::__private::inventory::submit! {
        ::connector_core::__private::CallbackBlock::new:: < GitHub > (&
        [::connector_core::__private::CallbackEntry { name : "always", aliases : & [],
        description : "", work : ::core::option::Option::None, per_channel : false,
        product : ::core::option::Option::None, arguments :
        ::connector_core::__private::schema_of:: < Always >, output :
        ::core::option::Option::None, subscription : ::core::option::Option::None, }],
        __connector_run)
    }
};
#[cfg(feature = "extra")]
const _: () = {
    fn __connector_run<'a>(
        mut call: ::connector_core::__private::Call<'a>,
    ) -> ::connector_core::__private::BoxFuture<
        'a,
        ::connector_core::__private::Result<::connector_core::__private::Returned>,
    >
    where
        for<'__connector> GitHub: ::connector_core::__private::Component,
        for<'__connector> u32: ::connector_core::__private::CallbackArgument,
    {
        ::std::boxed::Box::pin(async move {
            let cx = call.context::<GitHub>()?;
            let this = <GitHub as ::connector_core::__private::Component>::instance();
            match call.index {
                0usize => {
                    let message = call.message::<Sometimes>()?;
                    ::connector_core::__private::returned(
                        ::connector_core::__private::callback_future_must_be_send(
                                <GitHub>::sometimes(this, &cx, message.page),
                            )
                            .await,
                    )
                }
                _ => ::connector_core::__private::no_such_callback(&call),
            }
        })
    }
    ::connector_core::__private::inventory::submit! {
        ::connector_core::__private::CallbackBlock::new:: < GitHub > (&
        [::connector_core::__private::CallbackEntry { name : "sometimes", aliases : & [],
        description : "", work : ::core::option::Option::None, per_channel : false,
        product : ::core::option::Option::None, arguments : { fn arguments() ->
        ::connector_core::__private::serde_json::Value where for < '__connector > u32 :
        ::connector_core::__private::CallbackArgument {
        ::connector_core::__private::schema_of:: < Sometimes > () } arguments }, output :
        ::core::option::Option::None, subscription : ::core::option::Option::None, }],
        __connector_run)
    }
};
