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
        fn encode(&self) -> ::connector_core::__private::Encoded {
            ::connector_core::__private::ArgumentWriter::new(0usize).finish()
        }
        fn decode(arguments: &[u8]) -> ::connector_core::__private::Decoded<Self> {
            ::connector_core::__private::read_arguments(arguments, &mut [])?;
            ::core::result::Result::Ok(Self)
        }
    }
    #[automatically_derived]
    impl ::connector_core::__private::CalledCallback for Always
    where
        for<'__connector> GitHub: ::connector_core::__private::Component,
    {}
};
#[cfg(feature = "extra")]
#[derive(::core::clone::Clone)]
#[allow(missing_docs, reason = "the parameters of the method say what they are")]
struct Sometimes
where
    for<'__connector> u32: ::connector_core::__private::CallbackArgument,
{
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
        fn encode(&self) -> ::connector_core::__private::Encoded {
            ::connector_core::__private::ArgumentWriter::new(1usize)
                .put("page", &self.page)
                .finish()
        }
        fn decode(arguments: &[u8]) -> ::connector_core::__private::Decoded<Self> {
            let mut place_0 = ::connector_core::__private::no_argument::<u32>();
            ::connector_core::__private::read_arguments(
                arguments,
                &mut [("page", &mut place_0)],
            )?;
            ::core::result::Result::Ok(Self {
                page: place_0.unwrap_or_else(Sometimes::__connector_default_page),
            })
        }
    }
    #[automatically_derived]
    impl ::connector_core::__private::CalledCallback for Sometimes
    where
        for<'__connector> GitHub: ::connector_core::__private::Component,
        for<'__connector> u32: ::connector_core::__private::CallbackArgument,
    {}
    ::connector_core::__private::callback_argument::<u32>();
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
        [::connector_core::__private::CallbackEntry::new("always", "", | _ | {})],
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
        [::connector_core::__private::CallbackEntry::new("sometimes", "", { fn
        arguments(to : & mut ::connector_core::__private::ArgumentsSchema) where for <
        '__connector > u32 : ::connector_core::__private::CallbackArgument { to
        .argument_or:: < u32 > ("page", "", Sometimes::__connector_default_page); }
        arguments })], __connector_run)
    }
};
