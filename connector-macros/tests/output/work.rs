impl GitHub {
    async fn issues(
        &self,
        cx: &Context<Self>,
        channel: ChannelId,
        after: Option<Cursor>,
    ) -> Result<Step<Cursor>> {
        self.answer().await
    }
    async fn changed(&self, cx: &Context<Self>, ids: Vec<u64>) -> Result<Drained<u64>> {
        self.answer().await
    }
    async fn refresh(&self, _: &Context<Self>, _channel: ChannelId) -> Result<()> {
        self.answer().await
    }
    async fn events(
        &self,
        cx: &Context<Self>,
        channel: ChannelId,
        request: Verified<WebhookRequest>,
    ) -> Result<()> {
        self.answer().await
    }
}
#[derive(::core::clone::Clone)]
#[allow(missing_docs, reason = "the parameters of the method say what they are")]
struct Issues
where
    for<'__connector> ChannelId: ::connector_core::__private::CallbackArgument,
{
    channel: ChannelId,
}
const _: () = {
    #[automatically_derived]
    impl ::core::fmt::Debug for Issues
    where
        for<'__connector> ChannelId: ::connector_core::__private::CallbackArgument,
    {
        fn fmt(
            &self,
            formatter: &mut ::core::fmt::Formatter<'_>,
        ) -> ::core::fmt::Result {
            formatter.debug_struct("Issues").finish_non_exhaustive()
        }
    }
    #[automatically_derived]
    impl ::connector_core::__private::BoundCallback for Issues
    where
        for<'__connector> GitHub: ::connector_core::__private::Component,
        for<'__connector> ChannelId: ::connector_core::__private::CallbackArgument,
        for<'__connector> Option<Cursor>: ::connector_core::__private::CallbackInput,
    {
        type Component = GitHub;
        type Input = Option<Cursor>;
        type Output = <Result<
            Step<Cursor>,
        > as ::connector_core::__private::CallbackReturn>::Output;
        const NAME: &'static str = "issues";
        fn channel(
            &self,
        ) -> ::core::option::Option<&::connector_core::__private::ChannelId> {
            ::core::option::Option::Some(&self.channel)
        }
        fn encode(&self) -> ::connector_core::__private::Encoded {
            ::connector_core::__private::ArgumentWriter::new(1usize)
                .put("channel", &self.channel)
                .finish()
        }
        fn decode(arguments: &[u8]) -> ::connector_core::__private::Decoded<Self> {
            let mut place_0 = ::connector_core::__private::no_argument::<ChannelId>();
            ::connector_core::__private::read_arguments(
                arguments,
                &mut [("channel", &mut place_0)],
            )?;
            ::core::result::Result::Ok(Self {
                channel: ::connector_core::__private::argument(place_0, "channel")?,
            })
        }
    }
    #[automatically_derived]
    impl ::connector_core::__private::SyncCallback for Issues
    where
        for<'__connector> GitHub: ::connector_core::__private::Component,
        for<'__connector> ChannelId: ::connector_core::__private::CallbackArgument,
        for<'__connector> Option<Cursor>: ::connector_core::__private::CallbackInput,
    {}
    ::connector_core::__private::callback_argument::<ChannelId>();
    ::connector_core::__private::callback_input::<Option<Cursor>>();
};
#[derive(::core::clone::Clone, ::core::marker::Copy)]
#[allow(missing_docs, reason = "the method says what it is")]
struct Changed;
const _: () = {
    #[automatically_derived]
    impl ::core::fmt::Debug for Changed {
        fn fmt(
            &self,
            formatter: &mut ::core::fmt::Formatter<'_>,
        ) -> ::core::fmt::Result {
            formatter.debug_struct("Changed").finish_non_exhaustive()
        }
    }
    #[automatically_derived]
    impl ::connector_core::__private::BoundCallback for Changed
    where
        for<'__connector> GitHub: ::connector_core::__private::Component,
        for<'__connector> Vec<u64>: ::connector_core::__private::CallbackInput,
    {
        type Component = GitHub;
        type Input = Vec<u64>;
        type Output = <Result<
            Drained<u64>,
        > as ::connector_core::__private::CallbackReturn>::Output;
        const NAME: &'static str = "changed";
        fn encode(&self) -> ::connector_core::__private::Encoded {
            ::connector_core::__private::ArgumentWriter::new(0usize).finish()
        }
        fn decode(arguments: &[u8]) -> ::connector_core::__private::Decoded<Self> {
            ::connector_core::__private::read_arguments(arguments, &mut [])?;
            ::core::result::Result::Ok(Self)
        }
    }
    #[automatically_derived]
    impl ::connector_core::__private::DrainCallback for Changed
    where
        for<'__connector> GitHub: ::connector_core::__private::Component,
        for<'__connector> Vec<u64>: ::connector_core::__private::CallbackInput,
    {
        type Id = <Vec<u64> as ::core::iter::IntoIterator>::Item;
    }
    ::connector_core::__private::callback_input::<Vec<u64>>();
};
#[derive(::core::clone::Clone)]
#[allow(missing_docs, reason = "the parameters of the method say what they are")]
struct Refresh
where
    for<'__connector> ChannelId: ::connector_core::__private::CallbackArgument,
{
    channel: ChannelId,
}
const _: () = {
    #[automatically_derived]
    impl ::core::fmt::Debug for Refresh
    where
        for<'__connector> ChannelId: ::connector_core::__private::CallbackArgument,
    {
        fn fmt(
            &self,
            formatter: &mut ::core::fmt::Formatter<'_>,
        ) -> ::core::fmt::Result {
            formatter.debug_struct("Refresh").finish_non_exhaustive()
        }
    }
    #[automatically_derived]
    impl ::connector_core::__private::BoundCallback for Refresh
    where
        for<'__connector> GitHub: ::connector_core::__private::Component,
        for<'__connector> ChannelId: ::connector_core::__private::CallbackArgument,
    {
        type Component = GitHub;
        type Input = ();
        type Output = <Result<
            (),
        > as ::connector_core::__private::CallbackReturn>::Output;
        const NAME: &'static str = "daily";
        fn channel(
            &self,
        ) -> ::core::option::Option<&::connector_core::__private::ChannelId> {
            ::core::option::Option::Some(&self.channel)
        }
        fn encode(&self) -> ::connector_core::__private::Encoded {
            ::connector_core::__private::ArgumentWriter::new(1usize)
                .put("channel", &self.channel)
                .finish()
        }
        fn decode(arguments: &[u8]) -> ::connector_core::__private::Decoded<Self> {
            let mut place_0 = ::connector_core::__private::no_argument::<ChannelId>();
            ::connector_core::__private::read_arguments(
                arguments,
                &mut [("channel", &mut place_0)],
            )?;
            ::core::result::Result::Ok(Self {
                channel: ::connector_core::__private::argument(place_0, "channel")?,
            })
        }
    }
    #[automatically_derived]
    impl ::connector_core::__private::CalledCallback for Refresh
    where
        for<'__connector> GitHub: ::connector_core::__private::Component,
        for<'__connector> ChannelId: ::connector_core::__private::CallbackArgument,
    {}
    ::connector_core::__private::callback_argument::<ChannelId>();
};
#[derive(::core::clone::Clone)]
#[allow(missing_docs, reason = "the parameters of the method say what they are")]
struct Events
where
    for<'__connector> ChannelId: ::connector_core::__private::CallbackArgument,
{
    channel: ChannelId,
}
const _: () = {
    #[automatically_derived]
    impl ::core::fmt::Debug for Events
    where
        for<'__connector> ChannelId: ::connector_core::__private::CallbackArgument,
    {
        fn fmt(
            &self,
            formatter: &mut ::core::fmt::Formatter<'_>,
        ) -> ::core::fmt::Result {
            formatter.debug_struct("Events").finish_non_exhaustive()
        }
    }
    #[automatically_derived]
    impl ::connector_core::__private::BoundCallback for Events
    where
        for<'__connector> GitHub: ::connector_core::__private::Component,
        for<'__connector> ChannelId: ::connector_core::__private::CallbackArgument,
        for<'__connector> Verified<
            WebhookRequest,
        >: ::connector_core::__private::CallbackInput,
    {
        type Component = GitHub;
        type Input = Verified<WebhookRequest>;
        type Output = <Result<
            (),
        > as ::connector_core::__private::CallbackReturn>::Output;
        const NAME: &'static str = "events";
        fn channel(
            &self,
        ) -> ::core::option::Option<&::connector_core::__private::ChannelId> {
            ::core::option::Option::Some(&self.channel)
        }
        fn encode(&self) -> ::connector_core::__private::Encoded {
            ::connector_core::__private::ArgumentWriter::new(1usize)
                .put("channel", &self.channel)
                .finish()
        }
        fn decode(arguments: &[u8]) -> ::connector_core::__private::Decoded<Self> {
            let mut place_0 = ::connector_core::__private::no_argument::<ChannelId>();
            ::connector_core::__private::read_arguments(
                arguments,
                &mut [("channel", &mut place_0)],
            )?;
            ::core::result::Result::Ok(Self {
                channel: ::connector_core::__private::argument(place_0, "channel")?,
            })
        }
    }
    ::connector_core::__private::callback_argument::<ChannelId>();
    ::connector_core::__private::callback_input::<Verified<WebhookRequest>>();
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
        for<'__connector> Option<Cursor>: ::connector_core::__private::CallbackInput,
        for<'__connector> Vec<u64>: ::connector_core::__private::CallbackInput,
        for<'__connector> ChannelId: ::connector_core::__private::CallbackArgument,
        for<'__connector> ChannelId: ::connector_core::__private::CallbackArgument,
        for<'__connector> Verified<
            WebhookRequest,
        >: ::connector_core::__private::CallbackInput,
    {
        ::std::boxed::Box::pin(async move {
            let cx = call.context::<GitHub>()?;
            let this = <GitHub as ::connector_core::__private::Component>::instance();
            match call.index {
                0usize => {
                    let message = call.message::<Issues>()?;
                    let input: ::core::option::Option<_> = call
                        .input::<Option<Cursor>>()?;
                    ::connector_core::__private::returned_step::<
                        <Option<Cursor> as ::core::iter::IntoIterator>::Item,
                        _,
                    >(
                        ::connector_core::__private::callback_future_must_be_send(
                                <GitHub>::issues(this, &cx, message.channel, input),
                            )
                            .await,
                    )
                }
                1usize => {
                    let input: ::std::vec::Vec<_> = call
                        .ids::<<Vec<u64> as ::core::iter::IntoIterator>::Item>()?;
                    ::connector_core::__private::returned_drain::<
                        <Vec<u64> as ::core::iter::IntoIterator>::Item,
                        _,
                    >(
                        ::connector_core::__private::callback_future_must_be_send(
                                <GitHub>::changed(this, &cx, input),
                            )
                            .await,
                    )
                }
                2usize => {
                    let message = call.message::<Refresh>()?;
                    ::connector_core::__private::returned(
                        ::connector_core::__private::callback_future_must_be_send(
                                <GitHub>::refresh(this, &cx, message.channel),
                            )
                            .await,
                    )
                }
                3usize => {
                    let message = call.message::<Events>()?;
                    let input: ::connector_core::__private::Verified<
                        ::connector_core::__private::WebhookRequest,
                    > = call.input::<Verified<WebhookRequest>>()?;
                    ::connector_core::__private::returned(
                        ::connector_core::__private::callback_future_must_be_send(
                                <GitHub>::events(this, &cx, message.channel, input),
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
        [::connector_core::__private::CallbackEntry::new("issues", "", { fn arguments(to
        : & mut ::connector_core::__private::ArgumentsSchema) where for < '__connector >
        ChannelId : ::connector_core::__private::CallbackArgument { to.argument:: <
        ChannelId > ("channel", ""); } arguments })
        .work(::connector_core::__private::Work::Sync { every :
        ::core::time::Duration::from_millis(900000u64) }, true).input({ fn schema() ->
        ::connector_core::__private::serde_json::Value { #[allow(unused_imports, reason =
        "which of them is used depends on the type")] use ::connector_core::__private:: {
        KnownSchema as _, NamedSchema as _ }; (& ::connector_core::__private::Stored:: <
        Option < Cursor > > ::new()).schema() } schema }),
        ::connector_core::__private::CallbackEntry::new("changed", "", | _ | {})
        .aliases(& ["changes"]).work(::connector_core::__private::Work::Drain { batch :
        50u32, delay : ::core::time::Duration::from_millis(500u64), max_attempts : 5u32
        }, false).input({ fn schema() -> ::connector_core::__private::serde_json::Value {
        #[allow(unused_imports, reason = "which of them is used depends on the type")]
        use ::connector_core::__private:: { KnownSchema as _, NamedSchema as _ }; (&
        ::connector_core::__private::Stored:: < Vec < u64 > > ::new()).schema() } schema
        }), ::connector_core::__private::CallbackEntry::new("daily", "", { fn
        arguments(to : & mut ::connector_core::__private::ArgumentsSchema) where for <
        '__connector > ChannelId : ::connector_core::__private::CallbackArgument { to
        .argument:: < ChannelId > ("channel", ""); } arguments })
        .work(::connector_core::__private::Work::Every { interval :
        ::core::time::Duration::from_millis(86400000u64) }, true),
        ::connector_core::__private::CallbackEntry::new("events", "", { fn arguments(to :
        & mut ::connector_core::__private::ArgumentsSchema) where for < '__connector >
        ChannelId : ::connector_core::__private::CallbackArgument { to.argument:: <
        ChannelId > ("channel", ""); } arguments })
        .work(::connector_core::__private::Work::Webhook(::connector_core::__private::WebhookDeclaration
        { verify : ::connector_core::__private::Verify::HmacSha256 { header :
        "X-Hub-Signature-256", prefix : "sha256=" }, handshake :
        ::core::option::Option::Some(::connector_core::__private::Handshake::EchoQuery {
        parameter : "validationToken" }), delivery_id :
        ::core::option::Option::Some("X-GitHub-Delivery"), tenant :
        ::core::option::Option::None, max_body : ::core::option::Option::None, }), true)
        .input({ fn schema() -> ::connector_core::__private::serde_json::Value {
        #[allow(unused_imports, reason = "which of them is used depends on the type")]
        use ::connector_core::__private:: { KnownSchema as _, NamedSchema as _ }; (&
        ::connector_core::__private::Stored:: < Verified < WebhookRequest > > ::new())
        .schema() } schema })
        .subscription(::connector_core::__private::SubscriptionFns::of:: < Events > ())],
        __connector_run)
    }
};
