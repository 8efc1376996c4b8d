impl GitHub {
    async fn sync_page(&self, cx: &Context<Self>, page: u32) -> Result<()> {
        self.helper()
    }
    fn helper(&self) {}
}
#[derive(
    ::core::clone::Clone,
    ::connector_core::__private::serde::Serialize,
    ::connector_core::__private::serde::Deserialize,
    ::connector_core::__private::schemars::JsonSchema,
)]
#[serde(crate = "::connector_core::__private::serde")]
#[schemars(crate = "::connector_core::__private::schemars")]
#[allow(missing_docs, reason = "the parameters of the method say what they are")]
struct SyncPage
where
    for<'__connector> u32: ::connector_core::__private::CallbackArgument,
{
    #[serde(default)]
    page: u32,
}
const _: () = {
    ::connector_core::__private::callback_argument::<u32>();
};
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
    }
};
::core::compile_error! {
    "`#[callback]` has no argument `nam`: did you mean `name`? there are `name`, `alias`"
}
