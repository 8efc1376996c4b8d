impl GitHub {
    async fn sync_page(&self, cx: &Context<Self>, page: u32) -> Result<()> {
        self.helper()
    }
    fn helper(&self) {}
}
#[derive(::core::clone::Clone)]
#[allow(missing_docs, reason = "the parameters of the method say what they are")]
struct SyncPage
where
    for<'__connector> u32: ::connector_core::__private::CallbackArgument,
{
    page: u32,
}
const _: () = {
    #[automatically_derived]
    impl ::core::fmt::Debug for SyncPage
    where
        for<'__connector> u32: ::connector_core::__private::CallbackArgument,
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
        for<'__connector> u32: ::connector_core::__private::CallbackArgument,
    {
        type Component = GitHub;
        type Input = ();
        type Output = <Result<
            (),
        > as ::connector_core::__private::CallbackReturn>::Output;
        const NAME: &'static str = "sync_page";
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
                page: place_0.unwrap_or_default(),
            })
        }
    }
    #[automatically_derived]
    impl ::connector_core::__private::CalledCallback for SyncPage
    where
        for<'__connector> GitHub: ::connector_core::__private::Component,
        for<'__connector> u32: ::connector_core::__private::CallbackArgument,
    {}
    ::connector_core::__private::callback_argument::<u32>();
};
::core::compile_error! {
    "`#[callback]` has no argument `nam`: did you mean `name`? there are `name`, `alias`"
}
