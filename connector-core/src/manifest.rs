//! The registry in a form that machines read, and what would break between two of them (R1.14, R4.5).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::declaration::Declaration;
use crate::registry::{RegisteredConnector, Registry};

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
            manifest_version: 1,
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
    if let Some(shown) = shown.as_object_mut() {
        shown.insert("tools".to_owned(), connector.tools().map(|tool| json!(tool.id)).collect());
    }
    shown
}

impl Manifest {
    /// What would break for connections and callbacks that were made under `old` (R4.5): a callback that
    /// is gone or has another name, an argument that is new and required or has another type, an option or
    /// status that is gone, a scope that is newly required.
    pub fn breaks_since(&self, old: &Manifest) -> Vec<Break> {
        let mut breaks = Vec::new();
        for (id, before) in &old.connectors {
            let mut add =
                |what: String, why: &str| breaks.push(Break { connector: id.clone(), what, why: why.to_owned() });
            let Some(now) = self.connectors.get(id) else {
                add("connector".to_owned(), "it is gone, and its connections cannot run: link its crate again");
                continue;
            };
            for (name, callback) in &before.callbacks {
                match found(now, name) {
                    None => add(
                        format!("callback `{name}`"),
                        "it was removed or renamed, and stored tokens name it: keep the old name with `#[callback(alias = \"…\")]`",
                    ),
                    Some(found) => {
                        for (argument, why) in argument_breaks(&callback.arguments, &found.arguments) {
                            add(format!("argument `{argument}` of callback `{name}`"), why);
                        }
                    }
                }
                for alias in &callback.aliases {
                    let former =
                        name.rsplit_once('/').map_or_else(|| alias.clone(), |(tool, _)| format!("{tool}/{alias}"));
                    if found(now, &former).is_none() {
                        add(
                            format!("former name `{former}` of callback `{name}`"),
                            "it was removed, and stored tokens may name it: keep it with `#[callback(alias = \"…\")]`",
                        );
                    }
                }
            }
            for option in properties(&before.options_schema).keys() {
                if !properties(&now.options_schema).contains_key(option) {
                    add(format!("option `{option}`"), "it was removed, and connections have a value for it");
                }
            }
            for option in required(&now.options_schema) {
                if !required(&before.options_schema).contains(&option) {
                    add(
                        format!("option `{option}`"),
                        "it is newly required, and existing connections have no value: give it a default",
                    );
                }
            }
            for (link_type, status) in statuses(&before.declaration) {
                if !statuses(&now.declaration).contains(&(link_type.clone(), status.clone())) {
                    add(
                        format!("status `{status}` of link type `{link_type}`"),
                        "it was removed, and stored links have it",
                    );
                }
            }
            for scope in scopes(&now.declaration) {
                if !scopes(&before.declaration).contains(&scope) {
                    add(
                        format!("scope `{scope}`"),
                        "it is newly required, and existing connections were not granted it: make it an optional group",
                    );
                }
            }
        }
        breaks.sort();
        breaks
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
    let list = schema.get("required").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
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
            Some(earlier) if shape(earlier) != shape(schema) => {
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

/// A schema without the parts that say nothing about the type.
fn shape(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, _)| {
                !matches!(name.as_str(), "description" | "title" | "default" | "examples" | "$schema")
            });
            Value::Object(kept.map(|(name, value)| (name.clone(), shape(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(shape).collect()),
        other => other.clone(),
    }
}

fn statuses(declaration: &Value) -> Vec<(String, String)> {
    let types = declaration.get("link_types").and_then(Value::as_array);
    let statuses = types.into_iter().flatten().flat_map(|link_type| {
        let id = link_type.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let statuses = link_type.get("statuses").and_then(Value::as_array).cloned().unwrap_or_default();
        statuses.into_iter().filter_map(move |status| Some((id.clone(), status.get("id")?.as_str()?.to_owned())))
    });
    statuses.collect()
}

fn scopes(declaration: &Value) -> Vec<String> {
    let list = declaration.pointer("/scopes/required").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|scope| scope.as_str().map(str::to_owned)).collect()
}
