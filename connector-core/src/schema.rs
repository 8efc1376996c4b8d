//! JSON Schema, always in one dialect (2020-12).

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

/// Makes a schema; constant data holds one of these for each type.
pub type SchemaFn = fn() -> Value;

/// The schema of `T`, complete in itself.
pub fn of<T: JsonSchema + ?Sized>() -> Value {
    let mut generator = SchemaGenerator::new(SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
    }));
    let schema = T::json_schema(&mut generator);
    schema.to_value()
}
