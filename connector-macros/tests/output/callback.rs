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
#[derive(::core::clone::Clone)]
#[allow(missing_docs, reason = "the parameters of the method say what they are")]
pub struct SyncPage
where
    for<'__connector> ChannelId: ::connector_core::__private::CallbackArgument,
    for<'__connector> u32: ::connector_core::__private::CallbackArgument,
    for<'__connector> Vec<String>: ::connector_core::__private::CallbackArgument,
{
    pub channel: ChannelId,
    /// From one.
    pub page: u32,
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
        fn encode(&self) -> ::connector_core::__private::Encoded {
            ::connector_core::__private::ArgumentWriter::new(3usize)
                .put("channel", &self.channel)
                .put("page", &self.page)
                .put("labels", &self.labels)
                .finish()
        }
        fn decode(arguments: &[u8]) -> ::connector_core::__private::Decoded<Self> {
            let mut place_0 = ::connector_core::__private::no_argument::<ChannelId>();
            let mut place_1 = ::connector_core::__private::no_argument::<u32>();
            let mut place_2 = ::connector_core::__private::no_argument::<Vec<String>>();
            ::connector_core::__private::read_arguments(
                arguments,
                &mut [
                    ("channel", &mut place_0),
                    ("page", &mut place_1),
                    ("labels", &mut place_2),
                ],
            )?;
            ::core::result::Result::Ok(Self {
                channel: ::connector_core::__private::argument(place_0, "channel")?,
                page: place_1.unwrap_or_else(SyncPage::__connector_default_page),
                labels: place_2.unwrap_or_default(),
            })
        }
    }
    #[automatically_derived]
    impl ::connector_core::__private::CalledCallback for SyncPage
    where
        for<'__connector> GitHub: ::connector_core::__private::Component,
        for<'__connector> ChannelId: ::connector_core::__private::CallbackArgument,
        for<'__connector> u32: ::connector_core::__private::CallbackArgument,
        for<'__connector> Vec<String>: ::connector_core::__private::CallbackArgument,
        for<'__connector> Action: ::connector_core::__private::CallbackInput,
    {}
    ::connector_core::__private::callback_argument::<ChannelId>();
    ::connector_core::__private::callback_argument::<u32>();
    ::connector_core::__private::callback_argument::<Vec<String>>();
    ::connector_core::__private::callback_input::<Action>();
};
#[derive(::core::clone::Clone, ::core::marker::Copy)]
#[allow(missing_docs, reason = "the method says what it is")]
struct Tidy;
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
        fn encode(&self) -> ::connector_core::__private::Encoded {
            ::connector_core::__private::ArgumentWriter::new(0usize).finish()
        }
        fn decode(arguments: &[u8]) -> ::connector_core::__private::Decoded<Self> {
            ::connector_core::__private::read_arguments(arguments, &mut [])?;
            ::core::result::Result::Ok(Self)
        }
    }
    #[automatically_derived]
    impl ::connector_core::__private::CalledCallback for Tidy
    where
        for<'__connector> GitHub: ::connector_core::__private::Component,
    {}
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
        [::connector_core::__private::CallbackEntry::new("page",
        "One page of a repository.", { fn arguments(to : & mut
        ::connector_core::__private::ArgumentsSchema) where for < '__connector >
        ChannelId : ::connector_core::__private::CallbackArgument, for < '__connector >
        u32 : ::connector_core::__private::CallbackArgument, for < '__connector > Vec <
        String > : ::connector_core::__private::CallbackArgument { to.argument:: <
        ChannelId > ("channel", ""); to.argument_or:: < u32 > ("page", "From one.",
        SyncPage::__connector_default_page); to.argument_or:: < Vec < String > >
        ("labels", "", ::core::default::Default::default); } arguments }).aliases(&
        ["sync_page", "pages"]).input({ fn schema() ->
        ::connector_core::__private::serde_json::Value { #[allow(unused_imports, reason =
        "which of them is used depends on the type")] use ::connector_core::__private:: {
        KnownSchema as _, NamedSchema as _ }; (& ::connector_core::__private::Stored:: <
        Action > ::new()).schema() } schema }).returns({ fn schema() ->
        ::connector_core::__private::serde_json::Value { #[allow(unused_imports, reason =
        "which of them is used depends on the type")] use ::connector_core::__private:: {
        KnownSchema as _, NamedSchema as _ }; (& ::connector_core::__private::Stored:: <
        < Result < Vec < Issue > > as ::connector_core::__private::CallbackReturn >
        ::Output > ::new()).schema() } schema }).output({ fn output(value : & dyn
        ::core::any::Any) -> ::connector_core::__private::Result <
        ::connector_core::__private::serde_json::Value > where for < '__connector >
        GitHub : ::connector_core::__private::Component, for < '__connector > ChannelId :
        ::connector_core::__private::CallbackArgument, for < '__connector > u32 :
        ::connector_core::__private::CallbackArgument, for < '__connector > Vec < String
        > : ::connector_core::__private::CallbackArgument, for < '__connector > Action :
        ::connector_core::__private::CallbackInput { #[allow(unused_imports, reason =
        "which of them is used depends on the type")] use ::connector_core::__private:: {
        JsonOutput as _, OtherOutput as _ }; (& ::connector_core::__private::Output:: <<
        SyncPage as ::connector_core::__private::BoundCallback > ::Output > ::new())
        .show(value) } output }), ::connector_core::__private::CallbackEntry::new("tidy",
        "", | _ | {})], __connector_run)
    }
};
