//! What would break connections and tokens that exist, of two versions of one connector (R4.5).
#![allow(dead_code, reason = "the settings are declared, and nothing reads them")]

use connector_core::component::Declared;
use connector_core::dispatch::HooksOf;
use connector_core::manifest::Manifest;
use connector_core::prelude::*;
use connector_core::registry::Registry;

mod old {
    use super::*;

    #[connector(id = "moving", provider = GitHub, scopes(required = ["read"], optional(id = "mail", label = "Mail", scopes("mail"))), link_types = [Event], options = Settings, tools = [Helper])]
    #[derive(Default)]
    pub(super) struct Moving;

    #[derive(Options, Clone, Debug)]
    pub(super) struct Settings {
        /// How far back.
        #[option(default = 90)]
        pub(super) days: u32,
        /// Where.
        #[option(default = "here")]
        pub(super) place: String,
    }

    #[link_type(label = "Event")]
    pub(super) enum Event {
        Planned,
        Over,
    }

    #[connector]
    impl Connector for Moving {}

    #[connector]
    impl Moving {
        /// One page.
        #[callback]
        async fn page(&self, _: &Context<Self>, page: u32, folder: String) -> Result<()> {
            let _: (u32, String) = (page, folder);
            Ok(())
        }

        #[callback]
        async fn user(&self, _: &Context<Self>, id: u64) -> Result<()> {
            let _: u64 = id;
            Ok(())
        }
    }

    #[tool(id = "helper")]
    #[derive(Default)]
    pub(super) struct Helper;

    impl Tool for Helper {}

    #[tool]
    impl Helper {
        #[callback]
        async fn help(&self, _: &Context<Self>) -> Result<()> {
            Ok(())
        }
    }
}

/// Nothing that was there is broken, though much is new.
mod compatible {
    use super::*;

    #[connector(id = "moving", provider = GitHub, scopes(required = ["read"], optional(id = "mail", label = "Post", scopes("mail")), optional(id = "calendar", label = "Calendar", scopes("calendar"))), link_types = [Event, Task], options = Settings, tools = [Helper])]
    #[derive(Default)]
    pub(super) struct Moving;

    #[derive(Options, Clone, Debug)]
    pub(super) struct Settings {
        /// How far back it looks.
        #[option(default = 30)]
        pub(super) days: u32,
        /// Where.
        #[option(default = "here")]
        pub(super) place: String,
        /// Whether.
        #[option(default = true)]
        pub(super) loud: bool,
    }

    #[link_type(label = "Event")]
    pub(super) enum Event {
        Cancelled,
        Planned,
        Over,
    }

    #[link_type(label = "Task")]
    pub(super) enum Task {
        Open,
    }

    #[connector]
    impl Connector for Moving {}

    #[connector]
    impl Moving {
        /// One page of a folder.
        #[callback]
        async fn page(&self, _: &Context<Self>, folder: String, page: u32, #[default] size: u32) -> Result<()> {
            let _: (u32, String, u32) = (page, folder, size);
            Ok(())
        }

        #[callback(alias = "user")]
        async fn person(&self, _: &Context<Self>, id: u64) -> Result<()> {
            let _: u64 = id;
            Ok(())
        }

        #[callback]
        async fn added(&self, _: &Context<Self>, name: String) -> Result<()> {
            let _: String = name;
            Ok(())
        }
    }

    #[tool(id = "helper")]
    #[derive(Default)]
    pub(super) struct Helper;

    impl Tool for Helper {}

    #[tool]
    impl Helper {
        #[callback(alias = "help")]
        async fn aid(&self, _: &Context<Self>) -> Result<()> {
            Ok(())
        }
    }
}

/// After the compatible one, without what it kept for the old one.
mod later {
    use super::*;

    #[connector(id = "moving", provider = GitHub, scopes(required = ["read"], optional(id = "mail", label = "Mail", scopes("mail"))), link_types = [compatible::Event, compatible::Task], options = compatible::Settings, tools = [Helper])]
    #[derive(Default)]
    pub(super) struct Moving;

    #[connector]
    impl Connector for Moving {}

    #[connector]
    impl Moving {
        #[callback]
        async fn page(&self, _: &Context<Self>, folder: String, page: u32, size: u32) -> Result<()> {
            let _: (u32, String, u32) = (page, folder, size);
            Ok(())
        }

        #[callback]
        async fn person(&self, _: &Context<Self>, id: u64) -> Result<()> {
            let _: u64 = id;
            Ok(())
        }

        #[callback]
        async fn added(&self, _: &Context<Self>, name: String) -> Result<()> {
            let _: String = name;
            Ok(())
        }
    }

    #[tool(id = "helper")]
    #[derive(Default)]
    pub(super) struct Helper;

    impl Tool for Helper {}

    #[tool]
    impl Helper {
        #[callback]
        async fn aid(&self, _: &Context<Self>) -> Result<()> {
            Ok(())
        }
    }
}

/// Each kind of break.
mod breaking {
    use super::*;

    #[connector(id = "moving", provider = GitHub, scopes(required = ["read", "write"], optional(id = "mail", label = "Mail", scopes("mail"))), link_types = [Event], options = Settings)]
    #[derive(Default)]
    pub(super) struct Moving;

    #[derive(Options, Clone, Debug)]
    pub(super) struct Settings {
        /// How far back.
        #[option(default = 90)]
        pub(super) days: u32,
        /// New.
        #[option(required)]
        pub(super) team: String,
    }

    #[link_type(label = "Event")]
    pub(super) enum Event {
        Planned,
        Done,
    }

    #[connector]
    impl Connector for Moving {}

    #[connector]
    impl Moving {
        #[callback]
        async fn page(&self, _: &Context<Self>, page: String, folder: String, size: u32) -> Result<()> {
            let _: (String, String, u32) = (page, folder, size);
            Ok(())
        }

        #[callback]
        async fn person(&self, _: &Context<Self>, id: u64) -> Result<()> {
            let _: u64 = id;
            Ok(())
        }
    }
}

fn manifest<C: HooksOf + Declared>() -> Manifest {
    // As it is kept in a file.
    let written = serde_json::to_string(&Registry::of::<C>().unwrap().manifest()).unwrap();
    serde_json::from_str(&written).unwrap()
}

/// R4.5
#[test]
fn compatible_changes_break_nothing() {
    let (old, new) = (manifest::<old::Moving>(), manifest::<compatible::Moving>());
    assert_eq!(new.breaks_since(&old), []);
    assert_eq!(old.breaks_since(&old), []);
    assert_eq!(new.breaks_since(&new), []);
}

/// R4.5
#[test]
fn each_kind_of_break_is_found() {
    let breaks = manifest::<breaking::Moving>().breaks_since(&manifest::<old::Moving>());
    assert!(breaks.iter().all(|found| found.connector == "moving" && !found.why.is_empty()));
    let found: Vec<_> = breaks.iter().map(|found| found.what.as_str()).collect();
    assert_eq!(
        found,
        [
            "argument `page` of callback `page`",
            "argument `size` of callback `page`",
            "callback `helper/help`",
            "callback `user`",
            "option `place`",
            "option `team`",
            "scope `write`",
            "status `over` of link type `event`",
        ]
    );
    let shown: Vec<_> = breaks.iter().map(ToString::to_string).collect();
    let says = |what: &str, why: &str| {
        let line = shown.iter().find(|line| line.starts_with(&format!("moving: {what}: "))).unwrap();
        assert!(line.contains(why), "{line}");
    };
    says("callback `user`", "alias");
    says("argument `page` of callback `page`", "another type");
    says("argument `size` of callback `page`", "required");
    says("option `place`", "removed");
    says("option `team`", "default");
    says("scope `write`", "optional group");
    says("status `over` of link type `event`", "removed");
}

/// R4.5: a default or a former name that goes away again breaks the tokens that were made before there was one.
#[test]
fn a_default_and_a_former_name_have_to_stay() {
    let (old, new) = (manifest::<compatible::Moving>(), manifest::<later::Moving>());
    let breaks = new.breaks_since(&old);
    let found: Vec<_> = breaks.iter().map(|found| found.what.as_str()).collect();
    assert_eq!(
        found,
        [
            "argument `size` of callback `page`",
            "former name `helper/help` of callback `helper/aid`",
            "former name `user` of callback `person`",
        ]
    );
    assert!(breaks[0].why.contains("no default any more"), "{}", breaks[0]);
}

/// R4.5: a connector that is gone breaks its connections; one that is new breaks none.
#[test]
fn a_connector_that_is_gone_is_a_break() {
    let (none, old) = (Registry::default().manifest(), manifest::<old::Moving>());
    let breaks = none.breaks_since(&old);
    assert_eq!(breaks.len(), 1);
    assert_eq!((breaks[0].connector.as_str(), breaks[0].what.as_str()), ("moving", "connector"));
    assert_eq!(old.breaks_since(&none), []);
}
