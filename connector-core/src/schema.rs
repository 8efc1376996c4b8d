//! JSON Schema, always in one dialect (2020-12).

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::value::arguments::can_be_missing;

fn generator() -> SchemaGenerator {
    SchemaGenerator::new(SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
    }))
}

/// The schema of a type.
pub(crate) fn schema_of<T: JsonSchema>() -> Value {
    generator().into_root_schema_for::<T>().to_value()
}

/// Makes a schema; constant data holds one of these for each type that is stored.
pub type SchemaFn = fn() -> Value;

/// The schema of a type that has none: its name, without the modules that it is in.
pub(crate) fn name_of<T>() -> Value {
    let mut name = String::new();
    for part in std::any::type_name::<T>().split_inclusive(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')) {
        name.push_str(part.rsplit_once("::").map_or(part, |(_, last)| last));
    }
    serde_json::json!({ "type_name": name })
}

/// Names the arguments of a callback; constant data holds one of these for each.
pub type ArgumentsFn = fn(&mut ArgumentsSchema);

/// The schema of the arguments of a callback.
pub struct ArgumentsSchema {
    generator: SchemaGenerator,
    properties: Map<String, Value>,
    required: Vec<&'static str>,
}

impl ArgumentsSchema {
    /// The schema of these.
    pub(crate) fn of(arguments: ArgumentsFn) -> Value {
        let mut schema = Self { generator: generator(), properties: Map::new(), required: Vec::new() };
        arguments(&mut schema);
        let mut object = Map::new();
        object.insert("type".to_owned(), "object".into());
        if !schema.properties.is_empty() {
            object.insert("properties".to_owned(), schema.properties.into());
        }
        if !schema.required.is_empty() {
            object.insert("required".to_owned(), schema.required.into());
        }
        object.into()
    }

    /// An argument, with what its documentation says.
    pub fn argument<T: JsonSchema + DeserializeOwned>(&mut self, name: &'static str, description: &'static str) {
        self.property::<T>(name, description, None);
        if !can_be_missing::<T>() {
            self.required.push(name);
        }
    }

    /// An argument that has a default.
    pub fn argument_or<T: JsonSchema + Serialize>(
        &mut self,
        name: &'static str,
        description: &'static str,
        default: fn() -> T,
    ) {
        self.property::<T>(name, description, serde_json::to_value(default()).ok());
    }

    fn property<T: JsonSchema>(&mut self, name: &'static str, description: &str, default: Option<Value>) {
        let mut schema = self.generator.subschema_for::<T>();
        if !description.is_empty() {
            schema.insert("description".to_owned(), description.into());
        }
        if let Some(default) = default {
            schema.insert("default".to_owned(), default);
        }
        self.properties.insert(name.to_owned(), schema.to_value());
    }
}
