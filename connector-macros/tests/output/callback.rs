impl GitHub {
    const PAGE: u32 = 50;
    /// One page of a repository.
    #[allow(unused)]
    pub async fn sync_page(
        &self,
        cx: &Context<Self>,
        channel: ChannelId,
        mut page: u32,
        _labels: Vec<String>,
        request: Action,
    ) -> Result<Vec<Issue>> {
        Ok(Vec::new())
    }
    async fn tidy(&self, cx: &Context<Self>) -> Result<()> {
        Ok(())
    }
    fn helper(&self) -> u32 {
        1
    }
}
/// One page of a repository.
#[derive(
    ::core::clone::Clone,
    ::connector_core::__private::serde::Serialize,
    ::connector_core::__private::serde::Deserialize,
    ::connector_core::__private::schemars::JsonSchema,
)]
#[serde(crate = "::connector_core::__private::serde")]
#[schemars(crate = "::connector_core::__private::schemars")]
#[allow(missing_docs, reason = "the parameters of the method say what they are")]
pub struct SyncPage
where
    for<'__connector> ChannelId: ::connector_core::__private::CallbackArgument,
    for<'__connector> u32: ::connector_core::__private::CallbackArgument,
    for<'__connector> Vec<String>: ::connector_core::__private::CallbackArgument,
{
    pub channel: ChannelId,
    /// From one.
    #[serde(default = "SyncPage::__connector_default_page")]
    pub page: u32,
    #[serde(default)]
    pub labels: Vec<String>,
}
impl SyncPage
where
    for<'__connector> ChannelId: ::connector_core::__private::CallbackArgument,
    for<'__connector> u32: ::connector_core::__private::CallbackArgument,
    for<'__connector> Vec<String>: ::connector_core::__private::CallbackArgument,
{
    fn __connector_default_page() -> u32 {
        GitHub::PAGE
    }
}
const _: () = {
    ::connector_core::__private::callback_argument::<ChannelId>();
    ::connector_core::__private::callback_argument::<u32>();
    ::connector_core::__private::callback_argument::<Vec<String>>();
};
const _: () = {
    #[automatically_derived]
    impl ::core::fmt::Debug for SyncPage
    where
        for<'__connector> ChannelId: ::connector_core::__private::CallbackArgument,
        for<'__connector> u32: ::connector_core::__private::CallbackArgument,
        for<'__connector> Vec<String>: ::connector_core::__private::CallbackArgument,
    {
        fn fmt(
            &self,
            formatter: &mut ::core::fmt::Formatter<'_>,
        ) -> ::core::fmt::Result {
            formatter.debug_struct("SyncPage").finish_non_exhaustive()
        }
    }
    #[automatically_derived]
    impl ::connector_core::__private::BoundCallback for SyncPage
    where
        for<'__connector> GitHub: ::connector_core::__private::Component,
        for<'__connector> ChannelId: ::connector_core::__private::CallbackArgument,
        for<'__connector> u32: ::connector_core::__private::CallbackArgument,
        for<'__connector> Vec<String>: ::connector_core::__private::CallbackArgument,
        for<'__connector> Action: ::connector_core::__private::CallbackInput,
    {
        type Component = GitHub;
        type Input = Action;
        type Output = <Result<
            Vec<Issue>,
        > as ::connector_core::__private::CallbackReturn>::Output;
        const NAME: &'static str = "page";
        fn channel(
            &self,
        ) -> ::core::option::Option<&::connector_core::__private::ChannelId> {
            (&self.channel as &dyn ::core::any::Any).downcast_ref()
        }
    }
    ::connector_core::__private::callback_input::<Action>();
};
#[derive(::core::clone::Clone, ::core::marker::Copy)]
#[allow(missing_docs, reason = "the method says what it is")]
struct Tidy;
const _: () = {
    #[automatically_derived]
    impl ::connector_core::__private::serde::Serialize for Tidy {
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
    impl<'de> ::connector_core::__private::serde::Deserialize<'de> for Tidy {
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
    impl ::connector_core::__private::schemars::JsonSchema for Tidy {
        fn schema_name() -> ::std::borrow::Cow<'static, str> {
            ::std::borrow::Cow::Borrowed("Tidy")
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
    impl ::core::fmt::Debug for Tidy {
        fn fmt(
            &self,
            formatter: &mut ::core::fmt::Formatter<'_>,
        ) -> ::core::fmt::Result {
            formatter.debug_struct("Tidy").finish_non_exhaustive()
        }
    }
    #[automatically_derived]
    impl ::connector_core::__private::BoundCallback for Tidy
    where
        for<'__connector> GitHub: ::connector_core::__private::Component,
    {
        type Component = GitHub;
        type Input = ();
        type Output = <Result<
            (),
        > as ::connector_core::__private::CallbackReturn>::Output;
        const NAME: &'static str = "tidy";
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
        for<'__connector> ChannelId: ::connector_core::__private::CallbackArgument,
        for<'__connector> u32: ::connector_core::__private::CallbackArgument,
        for<'__connector> Vec<String>: ::connector_core::__private::CallbackArgument,
        for<'__connector> Action: ::connector_core::__private::CallbackInput,
    {
        ::std::boxed::Box::pin(async move {
            let cx = call.context::<GitHub>()?;
            let this = <GitHub as ::connector_core::__private::Component>::instance();
            match call.index {
                0usize => {
                    let message = call.message::<SyncPage>()?;
                    let input = call.input::<Action>()?;
                    ::connector_core::__private::returned(
                        ::connector_core::__private::callback_future_must_be_send(
                                <GitHub>::sync_page(
                                    this,
                                    &cx,
                                    message.channel,
                                    message.page,
                                    message.labels,
                                    input,
                                ),
                            )
                            .await,
                    )
                }
                1usize => {
                    ::connector_core::__private::returned(
                        ::connector_core::__private::callback_future_must_be_send(
                                <GitHub>::tidy(this, &cx),
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
        [::connector_core::__private::CallbackEntry { name : "page", aliases : &
        ["sync_page", "pages"], description : "One page of a repository.", work :
        ::core::option::Option::None, per_channel : false, product :
        ::core::option::Option::None, arguments : { fn arguments() ->
        ::connector_core::__private::serde_json::Value where for < '__connector >
        ChannelId : ::connector_core::__private::CallbackArgument, for < '__connector >
        u32 : ::connector_core::__private::CallbackArgument, for < '__connector > Vec <
        String > : ::connector_core::__private::CallbackArgument {
        ::connector_core::__private::schema_of:: < SyncPage > () } arguments }, output :
        ::core::option::Option::Some({ fn output(value : & dyn ::core::any::Any) ->
        ::connector_core::__private::Result <
        ::connector_core::__private::serde_json::Value > where for < '__connector >
        GitHub : ::connector_core::__private::Component, for < '__connector > ChannelId :
        ::connector_core::__private::CallbackArgument, for < '__connector > u32 :
        ::connector_core::__private::CallbackArgument, for < '__connector > Vec < String
        > : ::connector_core::__private::CallbackArgument, for < '__connector > Action :
        ::connector_core::__private::CallbackInput { #[allow(unused_imports, reason =
        "which of them is used depends on the type")] use ::connector_core::__private:: {
        JsonOutput as _, OtherOutput as _ }; (& ::connector_core::__private::Output:: <<
        SyncPage as ::connector_core::__private::BoundCallback > ::Output > ::new())
        .show(value) } output }), subscription : ::core::option::Option::None, },
        ::connector_core::__private::CallbackEntry { name : "tidy", aliases : & [],
        description : "", work : ::core::option::Option::None, per_channel : false,
        product : ::core::option::Option::None, arguments :
        ::connector_core::__private::schema_of:: < Tidy >, output :
        ::core::option::Option::None, subscription : ::core::option::Option::None, }],
        __connector_run)
    }
};
