//! What is written is what is declared.

#![allow(dead_code, unreachable_pub, reason = "the modules are examples, not called by anyone")]

#[path = "../ui/pass/design.rs"]
mod design;
#[path = "../ui/pass/every_argument.rs"]
mod every_argument;
#[path = "../ui/pass/smallest.rs"]
mod smallest;
#[path = "../ui/pass/tools.rs"]
mod tools;

use connector_core::component::Declared;
use connector_core::declaration::{Declaration, Provider};
use connector_core::link_type::{ComposeTarget, LinkType, Reactions, Sharing, StatusIcon};
use connector_core::model::Emoji;
use connector_core::options::{Choices, FieldKind, Options};
use connector_core::registry::Registry;
use connector_core::work::Work;
use every_argument::{Combined, CombinedOptions, Event, Keyed, Mail, Window};
use serde_json::{Map, json};

const COMBINED: &Declaration = <Combined as Declared>::DECLARATION;

/// R1.1: everything but the id has a default, and the id is the struct's name.
#[test]
fn everything_has_a_default() {
    let smallest = <smallest::Smallest as Declared>::DECLARATION;
    assert_eq!((smallest.id, smallest.name, smallest.description), ("smallest", "Smallest", "The smallest connector."));
    assert!(smallest.provider.is_none() && smallest.urls.is_empty() && smallest.link_types.is_empty());
    assert_eq!((smallest.channels.noun.singular, smallest.version), ("channel", "1"));
}

/// R1.1 to R1.6, R1.9, R1.10
#[test]
fn every_argument_is_in_the_declaration() {
    assert_eq!(
        (COMBINED.id, COMBINED.name, COMBINED.description),
        ("combined", "Combined", "Calendar and mail.\n\nBoth at once.")
    );
    assert_eq!(COMBINED.logo, Some("https://acme.example/logo.svg"));
    assert_eq!(COMBINED.provider, Some(Provider::Custom(every_argument::ACME)));
    assert_eq!(COMBINED.scopes.required, ["openid"]);
    let groups: Vec<_> = COMBINED.scopes.optional.iter().map(|group| (group.id, group.scopes, group.default)).collect();
    assert_eq!(groups, [("calendar", &["calendar"][..], false), ("mail", &["mail", "mail.send"][..], true)]);
    assert!(
        COMBINED.shared && !COMBINED.channels.fixed && COMBINED.channels.auto_enable_new && COMBINED.dynamic_link_types
    );
    assert!(!COMBINED.channels.hidden && COMBINED.handle_replies && COMBINED.multiple_instances);
    assert_eq!((COMBINED.channels.noun.singular, COMBINED.channels.noun.plural), ("folder", "folders"));
    assert_eq!(COMBINED.reactions, Some(Reactions::Subset { emoji: &["👍", "👎"] }));
    assert!(!COMBINED.reactions.unwrap().takes(&Emoji::Unicode("🎉".to_owned())));
    let products: Vec<_> =
        COMBINED.products.iter().map(|product| (product.key, product.label, product.scope_group)).collect();
    assert_eq!(products, [("calendar", "Calendar", "calendar"), ("mail", "Mail", "mail")]);
    assert_eq!((COMBINED.access.len(), COMBINED.urls.len(), COMBINED.version), (2, 2, "2"));
    let keyed = <Keyed as Declared>::DECLARATION;
    assert_eq!((keyed.key_option, keyed.channels.single, keyed.provider), (Some("key"), true, None));
    assert_eq!(<design::GitHub as Declared>::DECLARATION.provider, Some(Provider::GitHub));
}

/// R1.7
#[test]
fn every_argument_is_in_the_link_type() {
    let mail = Mail::DECLARATION;
    assert_eq!((mail.id, mail.label, mail.description, mail.note_label), ("mail", "Mail", "A message.", "Message"));
    assert_eq!(
        (mail.source_name, mail.compose_label, mail.reply_label),
        (Some("Acme"), Some("New mail"), Some("Reply"))
    );
    assert_eq!(mail.logos.mono, Some("https://acme.example/m.svg"));
    assert_eq!(mail.sharing, Sharing::Message);
    let roles: Vec<_> = mail.contact_roles.iter().map(|role| (role.id, role.label, role.default)).collect();
    assert_eq!(roles, [("to", "To", true), ("cc", "Cc", false), ("bcc", "Bcc", false)]);
    assert!(
        mail.supports.contact_changes && mail.supports.links && mail.supports.attachments && mail.supports.forwarding
    );
    let compose = mail.compose.unwrap();
    assert_eq!((compose.target, compose.status, compose.todo), (ComposeTarget::Addresses, None, true));
    assert_eq!(mail.reactions, Some(Reactions::Fixed { set: &[("👍", "like")] }));
    let event = Event::DECLARATION;
    assert_eq!((event.id, event.label, event.sharing, event.schedules), ("event", "Event", Sharing::None, true));
    let statuses: Vec<_> = event.statuses.iter().map(|status| (status.id, status.label)).collect();
    assert_eq!(statuses, [("tentative", "Tentative"), ("definite", "Combined"), ("called_off", "Called off")]);
    let called_off = event.status("called_off").unwrap();
    assert!(called_off.done && called_off.hidden && !called_off.active && !called_off.todo);
    assert_eq!(called_off.icon, Some(StatusIcon::Cancelled));
}

/// R1.7: a status and its id are the same thing.
#[test]
fn statuses_and_ids_go_both_ways() {
    for status in [Event::Tentative, Event::Confirmed, Event::CalledOff] {
        assert_eq!(Event::from_status(status.status().unwrap()), Some(status));
    }
    assert_eq!(Event::from_status("confirmed"), None);
    assert_eq!((Mail.status(), Mail::from_status("mail")), (None, None));
}

/// R2.1
#[test]
fn every_argument_is_in_the_form() {
    let field = |name| CombinedOptions::DECLARATION.field(name).unwrap();
    assert_eq!((field("window").label, field("window").description), ("Window", "How much is fetched."));
    let FieldKind::Select { choices, default, required } = field("window").kind else { panic!("no select") };
    assert_eq!((choices.len(), default, required), (2, Some("seven-days"), false));
    assert_eq!(field("step").default(), Some(json!("day")));
    assert_eq!((field("longest").default(), field("longest").required()), (None, false));
    let FieldKind::Text { placeholder, help, help_url, required, .. } = field("name").kind else { panic!("no text") };
    assert_eq!(
        (placeholder, help, help_url),
        (Some("Name"), Some("As in your profile"), Some("https://acme.example/name"))
    );
    assert!(required && field("key").secure() && field("key").required());
    assert!(field("other_key").secure() && !field("other_key").required());
    assert_eq!(field("bias").default(), Some(json!(-1.5)));
    assert_eq!(field("live").default(), Some(json!(false)));
    assert_eq!(field("type").label, "Type");
}

/// R2.2: the JSON Schema says the same as the form.
#[test]
fn the_schema_of_options_follows_from_the_form() {
    let schema = CombinedOptions::DECLARATION.json_schema();
    assert_eq!(schema["required"], json!(["name", "key"]));
    let expected = [
        (
            "window",
            json!({"type": "string", "enum": ["day", "seven-days"], "title": "Window", "description": "How much is fetched.", "default": "seven-days"}),
        ),
        ("key", json!({"type": "string", "writeOnly": true, "title": "Key"})),
        ("bias", json!({"type": "number", "minimum": -2.0, "maximum": 2.5, "title": "Bias", "default": -1.5})),
        ("live", json!({"type": "boolean", "title": "Live", "default": false})),
    ];
    for (name, expected) in expected {
        assert_eq!(schema["properties"][name], expected);
    }
}

/// R2.2, R2.4
#[test]
fn options_are_read_as_they_are_declared() {
    let sent = json!({"name": "n", "key": "k", "longest": "day", "limit": 7, "bias": "2"});
    let values = CombinedOptions::DECLARATION.validate(sent.as_object().unwrap(), &Map::new()).unwrap();
    let Ok(options) = CombinedOptions::from_values(&values) else { panic!("not read") };
    assert_eq!((options.window, options.step, options.longest), (Window::Week, Window::Day, Some(Window::Day)));
    assert_eq!((options.name.as_str(), options.key.expose(), options.other_key), ("n", "k", None));
    assert_eq!((options.bias, options.limit, options.live, options.r#type), (2.0, Some(7), false, None));
    assert_eq!((Window::Week.id(), Window::from_id("week")), ("seven-days", None));
    let Err(errors) = CombinedOptions::from_values(&Map::new()) else { panic!("read") };
    assert_eq!(errors.0.keys().collect::<Vec<_>>(), ["key", "name"]);
}

/// R1.13, R1.15, R4.5, R11: callbacks are there under their names, with when they run.
#[test]
fn callbacks_are_registered_with_their_work() {
    let registry = Registry::collect().unwrap();
    let combined = registry.get("combined").unwrap();
    let names: Vec<_> = combined.callbacks().map(|(_, entry)| entry.name).collect();
    assert_eq!(names, ["changed", "everything", "hints", "mails", "notices", "pages", "pushes", "tidy"]);
    let entry =
        |id: &str, name: &str| *registry.get(id).unwrap().callbacks().find(|(_, entry)| entry.name == name).unwrap().1;
    let pages = entry("combined", "pages");
    assert_eq!((pages.aliases, pages.description, pages.work), (&["page", "old_page"][..], "Takes a page.", None));
    assert_eq!(pages.arguments_schema()["required"], json!(["folder"]));
    assert!(
        matches!(entry("combined", "changed").work, Some(Work::Drain { batch: 5, max_attempts: 3, delay }) if delay.as_secs() == 2)
    );
    assert!(matches!(entry("combined", "everything").work, Some(Work::Sync { every }) if every.as_millis() == 500));
    assert!(matches!(entry("combined", "tidy").work, Some(Work::Every { interval }) if interval.as_secs() == 86_400));
    assert!(entry("github", "issues").per_channel && !entry("combined", "everything").per_channel);
    let keyed: Vec<_> = registry.get("keyed").unwrap().callbacks().map(|(tool, entry)| (tool, entry.name)).collect();
    assert_eq!(keyed, [("people", "people_page")]);
    let tools: Vec<_> = registry.get("keyed").unwrap().tools().map(|tool| tool.id).collect();
    assert_eq!(tools, ["phones", "people"]);
}
