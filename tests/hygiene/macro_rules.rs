//! Declarations whose pieces come from `macro_rules`: types, names and values arrive in invisible brackets.

use connector_core::prelude::*;

macro_rules! declare {
    ($name:ident, $id:literal, $kind:ident, $meta:ty, $context:ty, $argument:ty, $output:ty, $urls:expr, $every:literal) => {
        #[connector(id = $id, urls = $urls, link_types = [$kind], name = $id)]
        #[derive(Default)]
        pub struct $name;

        #[link_type(meta = $meta, label = $id)]
        pub enum $kind {
            #[status(label = $id)]
            Open,
        }

        #[connector]
        impl Connector for $name {}

        #[connector]
        impl $name {
            #[callback]
            async fn take(&self, cx: $context, channel: ChannelId, value: $argument) -> $output {
                let message = Take { channel, value };
                cx.run_task(message).await?;
                Ok(())
            }

            #[every($every)]
            async fn tidy(&self, cx: $context) -> $output {
                cx.run_task(Tidy {}).await?;
                Ok(())
            }
        }
    };
}

declare!(
    FromMacro,
    "from-macro",
    Kind,
    Vec<u8>,
    &Context<Self>,
    Option<String>,
    Result<()>,
    ["https://example.com/*"],
    "1h"
);
