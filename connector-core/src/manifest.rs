//! The registry in a form that machines read, and what would break between two of them (R1.14, R4.5).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::compatible::reads;
use crate::declaration::Declaration;
use crate::registry::{RegisteredConnector, Registry};

mod compatible;

/// The form of manifests that this version writes.
const VERSION: u32 = 2;

/// The first form that has the schemas of inputs, results and `meta`.
const WITH_STORED_TYPES: u32 = 2;

/// Everything that the connectors of a program declare.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of this document.
    pub manifest_version: u32,
    /// The connectors by id.
    pub connectors: BTreeMap<String, ConnectorManifest>,
}

/// Everything that one connector declares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectorManifest {
    /// The declaration, as it was written.
    pub declaration: Value,
    /// The hooks that it has.
    pub hooks: Vec<String>,
    /// The JSON Schema of its options.
    pub options_schema: Value,
    /// Its callbacks by name; those of a tool are called `tool/name`.
    pub callbacks: BTreeMap<String, CallbackManifest>,
}

/// One callback.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallbackManifest {
    /// From its doc comment.
    #[serde(default)]
    pub description: String,
    /// Former names, whose tokens still run.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// When it runs by itself.
    #[serde(default)]
    pub work: Value,
    /// The product whose channels that is for, in place of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// The JSON Schema of its arguments.
    pub arguments: Value,
    /// The JSON Schema of what it is given beside them: an input, the cursor of a sync, the ids of a drain. Of a type
    /// that is not `JsonSchema` its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// The JSON Schema of what it returns to whoever invokes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returns: Option<Value>,
}

/// Something that would break connections or callbacks which exist (R4.5).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Break {
    /// The connector.
    pub connector: String,
    /// What broke: `callback sync_page`.
    pub what: String,
    /// Why that breaks, and the way out.
    pub why: String,
}

impl std::fmt::Display for Break {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}", self.connector, self.what, self.why)
    }
}

impl Registry {
    /// The manifest of all connectors.
    pub fn manifest(&self) -> Manifest {
        Manifest {
            manifest_version: VERSION,
            connectors: self
                .iter()
                .map(|connector| (connector.declaration.id.to_owned(), connector.manifest()))
                .collect(),
        }
    }
}

impl RegisteredConnector {
    /// The manifest of this connector.
    pub fn manifest(&self) -> ConnectorManifest {
        let callbacks = self.callbacks().map(|(namespace, entry)| {
            let name = if namespace.is_empty() { entry.name.to_owned() } else { format!("{namespace}/{}", entry.name) };
            let manifest = CallbackManifest {
                description: entry.description.to_owned(),
                aliases: entry.aliases.iter().map(ToString::to_string).collect(),
                work: entry.work.map_or(Value::Null, |work| json!(work)),
                product: entry.product.map(str::to_owned),
                arguments: entry.arguments_schema(),
                input: entry.input.map(|input| input()),
                returns: entry.returns.map(|returns| returns()),
            };
            (name, manifest)
        });
        ConnectorManifest {
            declaration: declaration(self.declaration, self),
            hooks: self.hooks.names().map(str::to_owned).collect(),
            options_schema: self.declaration.options.json_schema(),
            callbacks: callbacks.collect(),
        }
    }
}

fn declaration(declaration: &Declaration, connector: &RegisteredConnector) -> Value {
    let mut shown = serde_json::to_value(declaration).unwrap_or_default();
    if let Some(required) = shown.pointer_mut("/scopes/required") {
        *required = json!(connector.scopes());
    }
    for (index, link_type) in declaration.link_types.iter().enumerate() {
        if let (Some(meta), Some(shown)) = (link_type.meta, shown.pointer_mut(&format!("/link_types/{index}")))
            && let Some(shown) = shown.as_object_mut()
        {
            shown.insert("meta".to_owned(), meta());
        }
    }
    if let Some(shown) = shown.as_object_mut() {
        shown.insert("tools".to_owned(), connector.tools().map(|tool| json!(tool.id)).collect());
    }
    shown
}

impl Manifest {
    /// What would break for connections, links and tokens that were made under `old` (R4.5, R11.11): what is stored would
    /// not be read, not be what it was, or not be granted.
    pub fn breaks_since(&self, old: &Manifest) -> Vec<Break> {
        let mut breaks = Vec::new();
        for (id, before) in &old.connectors {
            let stored_types = old.manifest_version >= WITH_STORED_TYPES;
            let mut found = Breaks { connector: id, stored_types, breaks: &mut breaks };
            match self.connectors.get(id) {
                None => found.add("connector", "it is gone, and its connections cannot run: link its crate again"),
                Some(now) => {
                    found.callbacks(before, now);
                    found.options(before, now);
                    found.link_types(&before.declaration, &now.declaration);
                    found.access(&before.declaration, &now.declaration);
                }
            }
        }
        breaks.sort();
        breaks
    }
}

/// The breaks of one connector.
struct Breaks<'a> {
    connector: &'a str,
    /// The older manifest has the schemas of what is stored.
    stored_types: bool,
    breaks: &'a mut Vec<Break>,
}

impl Breaks<'_> {
    fn add(&mut self, what: impl Into<String>, why: &str) {
        self.breaks.push(Break { connector: self.connector.to_owned(), what: what.into(), why: why.to_owned() });
    }

    fn callbacks(&mut self, before: &ConnectorManifest, now: &ConnectorManifest) {
        for (name, callback) in &before.callbacks {
            match found(now, name) {
                None => self.add(
                    format!("callback `{name}`"),
                    "it was removed or renamed, and stored tokens name it: keep the old name with `#[callback(alias = \"…\")]`",
                ),
                Some(found) => self.callback(name, callback, found),
            }
            for alias in &callback.aliases {
                let former = name.rsplit_once('/').map_or_else(|| alias.clone(), |(tool, _)| format!("{tool}/{alias}"));
                if found(now, &former).is_none() {
                    self.add(
                        format!("former name `{former}` of callback `{name}`"),
                        "it was removed, and stored tokens may name it: keep it with `#[callback(alias = \"…\")]`",
                    );
                }
            }
        }
    }

    fn callback(&mut self, name: &str, before: &CallbackManifest, now: &CallbackManifest) {
        for (argument, why) in argument_breaks(&before.arguments, &now.arguments) {
            self.add(format!("argument `{argument}` of callback `{name}`"), why);
        }
        let (kind_before, kind) = (text(&before.work, "/kind"), text(&now.work, "/kind"));
        if kind_before != kind {
            self.add(
                format!("work of callback `{name}`"),
                &format!(
                    "it was {} and is {} now, and what is stored of it is of the other kind: give it another name",
                    kind_before.as_deref().unwrap_or("no work of its own"),
                    kind.as_deref().unwrap_or("no work of its own")
                ),
            );
            return;
        }
        let (what, why) = match kind.as_deref() {
            Some("sync") => (
                "cursor",
                "stored cursors are not read, and its walks begin anew: give the sync another name, or let the cursor read the old form",
            ),
            Some("drain") => (
                "ids",
                "ids that are marked are not read: give the drain another name, or let the ids read the old form",
            ),
            _ => ("input", "inputs that are stored, and callers, have the old type: add a callback with another name"),
        };
        let input_reads = match (&before.input, &now.input) {
            (Some(before), Some(now)) => reads(now, before),
            (None, Some(_)) => !self.stored_types,
            (_, None) => true,
        };
        if !input_reads {
            self.add(format!("{what} of callback `{name}`"), why);
        }
        // Who reads what it returns knows the old type, so this goes the other way round.
        if let (Some(before), Some(now)) = (&before.returns, &now.returns)
            && !reads(before, now)
        {
            let why = "who invokes it reads the old type: add a callback with another name";
            self.add(format!("result of callback `{name}`"), why);
        }
    }

    fn options(&mut self, before: &ConnectorManifest, now: &ConnectorManifest) {
        let (old, new) = (&before.options_schema, &now.options_schema);
        for (option, earlier) in properties(old) {
            let what = format!("option `{option}`");
            let Some(later) = properties(new).remove(&option) else {
                self.add(what, "it was removed, and connections have a value for it");
                continue;
            };
            let is_secret = |schema: &Value| schema.get("writeOnly") == Some(&Value::Bool(true));
            if !reads(&later, &earlier) {
                self.add(
                    what,
                    "a value that connections have may not fit any more: it gives way to the default, and without one the connection waits for its user; add another option instead",
                );
            } else if is_secret(&later) && !is_secret(&earlier) {
                self.add(
                    what,
                    "it became secret, and what connections have is stored in the clear until they are changed: add another option instead",
                );
            } else if !is_secret(&later) && is_secret(&earlier) {
                self.add(what, "it was secret, and its value is shown now: add another option instead");
            }
        }
        for option in required(new).into_iter().filter(|option| !required(old).contains(option)) {
            self.add(
                format!("option `{option}`"),
                "it is newly required, and existing connections have no value: give it a default",
            );
        }
    }

    fn link_types(&mut self, before: &Value, now: &Value) {
        for (id, earlier) in by_id(before, "/link_types") {
            let Some(later) = by_id(now, "/link_types").remove(&id) else {
                self.add(format!("link type `{id}`"), "it was removed, and stored links are of it");
                continue;
            };
            let statuses = by_id(&later, "/statuses");
            for status in by_id(&earlier, "/statuses").into_keys().filter(|status| !statuses.contains_key(status)) {
                self.add(format!("status `{status}` of link type `{id}`"), "it was removed, and stored links have it");
            }
            let roles = by_id(&later, "/contact_roles");
            for role in by_id(&earlier, "/contact_roles").into_keys().filter(|role| !roles.contains_key(role)) {
                self.add(
                    format!("contact role `{role}` of link type `{id}`"),
                    "it was removed, and the contacts of stored links have it",
                );
            }
            let readable = match (earlier.get("meta"), later.get("meta")) {
                (Some(earlier), Some(later)) => reads(later, earlier),
                (None, Some(later)) => !self.stored_types || reads(later, &json!({"type": "null"})),
                (_, None) => true,
            };
            if !readable {
                self.add(
                    format!("meta of link type `{id}`"),
                    "what is stored with links is not read any more: give new fields a `#[serde(default)]`",
                );
            }
        }
    }

    fn access(&mut self, before: &Value, now: &Value) {
        for scope in scopes(now).into_iter().filter(|scope| !scopes(before).contains(scope)) {
            self.add(
                format!("scope `{scope}`"),
                "it is newly required, and existing connections were not granted it: make it an optional group",
            );
        }
        for (id, earlier) in by_id(before, "/scopes/optional") {
            let scopes = |group: &Value| texts(group, "/scopes");
            match by_id(now, "/scopes/optional").get(&id) {
                None => self.add(
                    format!("scope group `{id}`"),
                    "it was removed, and users of existing connections have chosen it: keep it",
                ),
                Some(later) => {
                    for scope in scopes(later).into_iter().filter(|scope| !scopes(&earlier).contains(scope)) {
                        self.add(
                            format!("scope `{scope}` of scope group `{id}`"),
                            "it is new, and existing connections with the group were not granted it: make it a group of its own",
                        );
                    }
                }
            }
        }
        let way_in = |declaration: &Value| (text(declaration, "/provider"), text(declaration, "/key_option"));
        let ((provider_before, key_before), (provider, key)) = (way_in(before), way_in(now));
        if provider_before != provider {
            self.add(
                "provider",
                "it is another one, and existing connections have no account there: make another connector",
            );
        } else if key_before != key {
            self.add(
                "key",
                "it is another option, and existing connections have no value for it: make another connector",
            );
        }
    }
}

/// The callback that runs for a name: the one that is called so, or was.
fn found<'a>(connector: &'a ConnectorManifest, name: &str) -> Option<&'a CallbackManifest> {
    let apart = |name: &str| {
        name.rsplit_once('/').map_or((String::new(), name.to_owned()), |(tool, own)| (tool.to_owned(), own.to_owned()))
    };
    let (tool, own) = apart(name);
    connector.callbacks.get(name).or_else(|| {
        connector.callbacks.iter().find_map(|(candidate, callback)| {
            (apart(candidate).0 == tool && callback.aliases.contains(&own)).then_some(callback)
        })
    })
}

fn properties(schema: &Value) -> serde_json::Map<String, Value> {
    schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default()
}

fn required(schema: &Value) -> Vec<String> {
    texts(schema, "/required")
}

fn argument_breaks(old: &Value, new: &Value) -> Vec<(String, &'static str)> {
    let (before, now) = (properties(old), properties(new));
    let mut breaks = Vec::new();
    for (argument, schema) in &now {
        match before.get(argument) {
            None if required(new).contains(argument) => {
                breaks.push((
                    argument.clone(),
                    "it is new and required, and stored tokens do not have it: give it a `#[default]`",
                ));
            }
            Some(earlier) if !reads(schema, earlier) => {
                breaks.push((
                    argument.clone(),
                    "it has another type, and stored tokens have the old one: add a new argument with a `#[default]`",
                ));
            }
            Some(_) if required(new).contains(argument) && !required(old).contains(argument) => {
                breaks.push((
                    argument.clone(),
                    "it has no default any more, and stored tokens may not have it: give it its `#[default]` back",
                ));
            }
            _ => {}
        }
    }
    breaks
}

/// The objects of a list, by their ids.
fn by_id(within: &Value, list: &str) -> BTreeMap<String, Value> {
    let list = within.pointer(list).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|one| Some((text(one, "/id")?, one.clone()))).collect()
}

fn text(within: &Value, place: &str) -> Option<String> {
    within.pointer(place).and_then(Value::as_str).map(str::to_owned)
}

fn texts(within: &Value, place: &str) -> Vec<String> {
    let list = within.pointer(place).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect()
}

fn scopes(declaration: &Value) -> Vec<String> {
    texts(declaration, "/scopes/required")
}
