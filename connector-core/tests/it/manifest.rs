//! What would break connections and tokens that exist, of two versions of one connector (R4.5).
#![allow(dead_code, reason = "the settings are declared, and nothing reads them")]

use connector_core::component::Declared;
use connector_core::dispatch::HooksOf;
use connector_core::manifest::Manifest;
use connector_core::prelude::*;
use connector_core::registry::Registry;
use serde_json::{Value, json};

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

/// A connector that declares one of everything that is stored.
mod rich {
    use super::*;

    #[connector(id = "rich", provider = GitHub, scopes(required = ["read"], optional(id = "mail", label = "Mail", scopes("mail"))), link_types = [Message, Mail], options = Settings)]
    #[derive(Default)]
    pub(super) struct Rich;

    #[derive(Options, Clone, Debug)]
    pub(super) struct Settings {
        /// How far back.
        #[option(default = 90, min = 1, max = 365)]
        pub(super) days: u32,
        /// Where.
        pub(super) place: Option<String>,
        /// How.
        #[option(default = Pace::Fast)]
        pub(super) pace: Pace,
    }

    #[derive(Choices, Clone, Copy, Debug)]
    pub(super) enum Pace {
        Fast,
        Slow,
    }

    #[link_type(label = "Message", meta = Kept)]
    pub(super) struct Message;

    #[link_type(label = "Mail", contact_roles(to(label = "To", default), cc(label = "Cc")))]
    pub(super) struct Mail;

    #[derive(Serialize, Deserialize, JsonSchema)]
    pub(super) struct Kept {
        pub(super) number: u32,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    pub(super) struct Place {
        pub(super) page: u32,
    }

    /// Without a schema.
    #[derive(Serialize, Deserialize)]
    pub(super) struct Bare {
        pub(super) page: u32,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    pub(super) struct Answer {
        pub(super) done: bool,
    }

    #[connector]
    impl Connector for Rich {}

    #[connector]
    impl Rich {
        #[sync(every = "1h")]
        async fn walk(&self, _: &Context<Self>, cursor: Option<Place>) -> Result<Step<Place>> {
            Ok(Step::Done(Place { page: cursor.map_or(0, |place| place.page) }))
        }

        #[sync(every = "1h")]
        async fn bare_walk(&self, _: &Context<Self>, cursor: Option<Bare>) -> Result<Step<Bare>> {
            Ok(Step::Done(Bare { page: cursor.map_or(0, |place| place.page) }))
        }

        #[drain]
        async fn changed(&self, _: &Context<Self>, _ids: Vec<u64>) -> Result<Drained<u64>> {
            Ok(Drained::all())
        }

        #[callback]
        async fn ask(&self, _: &Context<Self>, #[input] _given: Place) -> Result<Answer> {
            Ok(Answer { done: true })
        }

        #[callback]
        async fn quiet(&self, _: &Context<Self>, _small: u32, _maybe: u32) -> Result<()> {
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
            "scope group `calendar`",
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

/// What `change` makes of the manifest of the rich connector, as the breaks since it.
fn after(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let old = manifest::<rich::Rich>();
    let mut changed = serde_json::to_value(&old).unwrap();
    change(&mut changed["connectors"]["rich"]);
    let new: Manifest = serde_json::from_value(changed).unwrap();
    new.breaks_since(&old).into_iter().map(|found| found.what).collect()
}

/// L41, R11.11: a change of anything that is stored is found.
#[test]
fn changes_of_what_is_stored_are_breaks() {
    let number = json!({"type": "integer", "format": "uint32", "minimum": 0});
    let set = |place: &'static str, value: Value| {
        after(move |connector| *connector.pointer_mut(place).unwrap_or_else(|| panic!("{place}")) = value)
    };
    for (place, value, what) in [
        ("/options_schema/properties/pace/enum", json!(["fast"]), "option `pace`"),
        ("/options_schema/properties/days/type", json!("string"), "option `days`"),
        ("/options_schema/properties/days/maximum", json!(100), "option `days`"),
        ("/options_schema/properties/days/minimum", json!(10), "option `days`"),
        ("/callbacks/walk/input", json!({"type": ["string", "null"]}), "cursor of callback `walk`"),
        ("/callbacks/bare_walk/input", json!({"type_name": "Option<Other>"}), "cursor of callback `bare_walk`"),
        (
            "/callbacks/changed/input",
            json!({"type": "array", "items": {"type": "string"}}),
            "ids of callback `changed`",
        ),
        ("/callbacks/ask/input", json!({"type": "string"}), "input of callback `ask`"),
        ("/callbacks/ask/returns/properties/done/type", json!("string"), "result of callback `ask`"),
        ("/callbacks/walk/work/kind", json!("every"), "work of callback `walk`"),
        ("/callbacks/quiet/work", json!({"kind": "every"}), "work of callback `quiet`"),
        ("/declaration/link_types/0/id", json!("letter"), "link type `message`"),
        ("/declaration/link_types/1/contact_roles/1/id", json!("bcc"), "contact role `cc` of link type `mail`"),
        ("/declaration/scopes/optional", json!([]), "scope group `mail`"),
        ("/declaration/scopes/optional/0/scopes", json!(["mail", "send"]), "scope `send` of scope group `mail`"),
        ("/declaration/provider", json!("gitlab"), "provider"),
        ("/declaration/provider", json!(null), "provider"),
        ("/declaration/key_option", json!("place"), "key"),
    ] {
        assert_eq!(set(place, value), [what], "{place}");
    }
    let secret = |connector: &mut Value| {
        connector["options_schema"]["properties"]["place"]["writeOnly"] = json!(true);
    };
    assert_eq!(after(secret), ["option `place`"]);
    let asked = |connector: &mut Value| {
        connector["callbacks"]["quiet"]["input"] = number.clone();
    };
    assert_eq!(after(asked), ["input of callback `quiet`"]);
    let required = |connector: &mut Value| {
        let meta = &mut connector["declaration"]["link_types"][0]["meta"];
        meta["properties"]["project"] = json!({"type": "string"});
        meta["required"] = json!(["number", "project"]);
    };
    assert_eq!(after(required), ["meta of link type `message`"]);
    let gone = |connector: &mut Value| {
        connector["declaration"]["link_types"].as_array_mut().unwrap().remove(0);
    };
    assert_eq!(after(gone), ["link type `message`"]);
}

/// L41: what reads everything that was stored is no break.
#[test]
fn wider_types_break_nothing() {
    let wider = |connector: &mut Value| {
        let place = &mut connector["callbacks"]["ask"]["input"];
        place["properties"]["folder"] = json!({"type": "string", "default": ""});
        place["properties"]["page"]["format"] = json!("uint64");
        let arguments = &mut connector["callbacks"]["quiet"]["arguments"];
        arguments["properties"]["small"]["format"] = json!("uint64");
        arguments["properties"]["maybe"]["type"] = json!(["integer", "null"]);
        arguments["required"] = json!(["small"]);
        connector["options_schema"]["properties"]["pace"]["enum"] = json!(["fast", "slow", "steady"]);
        connector["options_schema"]["properties"]["days"]["maximum"] = json!(3650);
        connector["callbacks"]["ask"]["returns"]["properties"]["more"] = json!({"type": "boolean"});
        connector["callbacks"]["ask"]["returns"]["required"] = json!(["done", "more"]);
    };
    assert_eq!(after(wider), [""; 0]);
}

/// A manifest that was written before it had the types of what is stored says nothing of them.
#[test]
fn an_older_manifest_is_compared_as_far_as_it_goes() {
    let new = manifest::<rich::Rich>();
    let mut old = new.clone();
    old.manifest_version = 1;
    for callback in old.connectors.get_mut("rich").unwrap().callbacks.values_mut() {
        (callback.input, callback.returns) = (None, None);
    }
    assert_eq!(new.breaks_since(&old), []);
}
