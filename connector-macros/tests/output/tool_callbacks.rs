impl Contacts {
    async fn page(&self, cx: &Context<Self>, number: u32) -> Result<()> {
        Ok(())
    }
}
#[derive(::core::clone::Clone)]
#[allow(missing_docs, reason = "the parameters of the method say what they are")]
struct Page
where
    for<'__connector> u32: ::connector_core::__private::CallbackArgument,
{
    number: u32,
}
const _: () = {
    #[automatically_derived]
    impl ::core::fmt::Debug for Page
    where
        for<'__connector> u32: ::connector_core::__private::CallbackArgument,
    {
        fn fmt(
            &self,
            formatter: &mut ::core::fmt::Formatter<'_>,
        ) -> ::core::fmt::Result {
            formatter.debug_struct("Page").finish_non_exhaustive()
        }
    }
    #[automatically_derived]
    impl ::connector_core::__private::BoundCallback for Page
    where
        for<'__connector> Contacts: ::connector_core::__private::Component,
        for<'__connector> u32: ::connector_core::__private::CallbackArgument,
    {
        type Component = Contacts;
        type Input = ();
        type Output = <Result<
            (),
        > as ::connector_core::__private::CallbackReturn>::Output;
        const NAME: &'static str = "page";
        fn encode(&self) -> ::connector_core::__private::Encoded {
            ::connector_core::__private::ArgumentWriter::new(1usize)
                .put("number", &self.number)
                .finish()
        }
        fn decode(arguments: &[u8]) -> ::connector_core::__private::Decoded<Self> {
            let mut place_0 = ::connector_core::__private::no_argument::<u32>();
            ::connector_core::__private::read_arguments(
                arguments,
                &mut [("number", &mut place_0)],
            )?;
            ::core::result::Result::Ok(Self {
                number: ::connector_core::__private::argument(place_0, "number")?,
            })
        }
    }
    #[automatically_derived]
    impl ::connector_core::__private::CalledCallback for Page
    where
        for<'__connector> Contacts: ::connector_core::__private::Component,
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
        for<'__connector> Contacts: ::connector_core::__private::Component,
        for<'__connector> u32: ::connector_core::__private::CallbackArgument,
    {
        ::std::boxed::Box::pin(async move {
            let cx = call.context::<Contacts>()?;
            let this = <Contacts as ::connector_core::__private::Component>::instance();
            match call.index {
                0usize => {
                    let message = call.message::<Page>()?;
                    ::connector_core::__private::returned(
                        ::connector_core::__private::callback_future_must_be_send(
                                <Contacts>::page(this, &cx, message.number),
                            )
                            .await,
                    )
                }
                _ => ::connector_core::__private::no_such_callback(&call),
            }
        })
    }
    ::connector_core::__private::inventory::submit! {
        ::connector_core::__private::CallbackBlock::new:: < Contacts > (&
        [::connector_core::__private::CallbackEntry::new("page", "", { fn arguments(to :
        & mut ::connector_core::__private::ArgumentsSchema) where for < '__connector >
        u32 : ::connector_core::__private::CallbackArgument { to.argument:: < u32 >
        ("number", ""); } arguments })], __connector_run)
    }
};
