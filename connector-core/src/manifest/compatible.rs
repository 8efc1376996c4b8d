//! Whether what was stored under one JSON Schema can be read under another.

use serde_json::{Map, Value};

/// Members of a schema that say nothing about what is stored.
const ANNOTATIONS: [&str; 9] =
    ["$schema", "default", "deprecated", "description", "examples", "readOnly", "title", "writeOnly", "x-widget"];

/// Whether each value that `old` allows can be read as a value of `new`. A field that an old value does not have may be
/// missing only if `new` does not require it. A schema that is not understood is compatible with itself alone.
pub(super) fn reads(new: &Value, old: &Value) -> bool {
    let (new, old) = (bare(new), bare(old));
    if new == old || allows_all(&new) {
        return true;
    }
    let (new, old) = (alternatives(&new), alternatives(&old));
    old.iter().all(|old| new.iter().any(|new| reads_one(new, old)))
}

/// A schema without its annotations.
fn bare(schema: &Value) -> Value {
    let kept = |fields: &Map<String, Value>| {
        let kept = fields.iter().filter(|(name, _)| !ANNOTATIONS.contains(&name.as_str()));
        kept.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    schema.as_object().map_or_else(|| schema.clone(), |fields| Value::Object(kept(fields)))
}

fn allows_all(schema: &Value) -> bool {
    *schema == Value::Bool(true) || schema.as_object().is_some_and(Map::is_empty)
}

/// The schemas of which a value has to meet one, each with a single type, or a single value.
fn alternatives(schema: &Value) -> Vec<Value> {
    let schema = bare(schema);
    for of in ["anyOf", "oneOf"] {
        if let Some(each) = schema.get(of).and_then(Value::as_array) {
            let mut rest = schema.as_object().cloned().unwrap_or_default();
            rest.remove(of);
            let with_rest = |one: &Value| {
                let mut one = one.as_object().cloned().unwrap_or_default();
                // What stands beside the alternatives holds for each of them.
                rest.iter().for_each(|(name, value)| {
                    one.entry(name.clone()).or_insert_with(|| value.clone());
                });
                alternatives(&Value::Object(one))
            };
            return each.iter().flat_map(with_rest).collect();
        }
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return values.iter().map(|value| serde_json::json!({ "const": value })).collect();
    }
    if let Some(value) = schema.get("const") {
        return vec![serde_json::json!({ "const": value })];
    }
    if let (Some(types), Some(fields)) = (schema.get("type").and_then(Value::as_array), schema.as_object()) {
        let of_type = |one: &Value| {
            let mut fields = fields.clone();
            fields.insert("type".to_owned(), one.clone());
            if one == "null" {
                fields.retain(|name, _| name == "type");
            }
            Value::Object(fields)
        };
        return types.iter().map(of_type).collect();
    }
    vec![schema]
}

fn reads_one(new: &Value, old: &Value) -> bool {
    if new == old || allows_all(new) {
        return true;
    }
    if let Some(value) = old.get("const") {
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let plain = new.as_object().is_some_and(|fields| fields.len() == 1);
        return plain && new.get("type").is_some_and(|of| of == kind);
    }
    if new.get("type") != old.get("type") {
        return false;
    }
    match old.get("type").and_then(Value::as_str) {
        Some("integer") => reads_integer(new, old),
        Some("object") => reads_object(new, old),
        Some("array") => reads_array(new, old),
        // What has a format now may be any text as it is stored.
        Some("string") => new.as_object().is_some_and(|fields| fields.keys().all(|name| name == "type")),
        _ => false,
    }
}

fn reads_integer(new: &Value, old: &Value) -> bool {
    let ((new_min, new_max), (old_min, old_max)) = (range(new), range(old));
    new_min <= old_min && old_max <= new_max
}

/// The least and the greatest value of an integer.
fn range(schema: &Value) -> (f64, f64) {
    let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
    let (unsigned, bits) = match (format.strip_prefix("uint"), format.strip_prefix("int")) {
        (Some(bits), _) => (true, bits),
        (None, Some(bits)) => (false, bits),
        (None, None) => (false, "128"),
    };
    // Without a number it is a size, which has 64 bits on the machines that this runs on.
    let bits: i32 = bits.parse().unwrap_or(64);
    let (least, greatest) =
        if unsigned { (0.0, 2_f64.powi(bits)) } else { (-2_f64.powi(bits - 1), 2_f64.powi(bits - 1)) };
    let limit = |name: &str| schema.get(name).and_then(Value::as_f64);
    (limit("minimum").unwrap_or(least).max(least), limit("maximum").unwrap_or(greatest).min(greatest))
}

fn reads_object(new: &Value, old: &Value) -> bool {
    let members = |schema: &Value| schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let (now, before) = (members(new), members(old));
    let others = |schema: &Value| schema.get("additionalProperties").cloned().unwrap_or(Value::Bool(true));
    let (others_now, others_before) = (others(new), others(old));
    let kept = before.iter().all(|(name, old)| match now.get(name) {
        Some(new) => reads(new, old),
        None => others_now != Value::Bool(false) && reads(&others_now, old),
    });
    let was_there = required(old);
    let there = required(new).iter().all(|name| was_there.contains(name));
    // A map reads what a map has written; a struct ignores what it does not know.
    let more = allows_all(&others_now) || others_before == Value::Bool(false) || reads(&others_now, &others_before);
    let rest = ["properties", "required", "additionalProperties", "type"];
    let known = |schema: &Value| {
        schema.as_object().is_some_and(|fields| fields.keys().all(|name| rest.contains(&name.as_str())))
    };
    kept && there && more && known(new) && known(old)
}

fn required(schema: &Value) -> Vec<&str> {
    let list = schema.get("required").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

fn reads_array(new: &Value, old: &Value) -> bool {
    let rest = |schema: &Value| {
        let mut fields = schema.as_object().cloned().unwrap_or_default();
        let (items, places) = (fields.remove("items"), fields.remove("prefixItems"));
        (fields, items, places)
    };
    let ((new, new_items, new_places), (old, old_items, old_places)) = (rest(new), rest(old));
    let items = match (&new_items, &old_items) {
        (Some(new), Some(old)) => reads(new, old),
        (None, _) => true,
        (Some(_), None) => false,
    };
    let places = match (new_places.as_ref().and_then(Value::as_array), old_places.as_ref().and_then(Value::as_array)) {
        (Some(new), Some(old)) => new.len() == old.len() && new.iter().zip(old).all(|(new, old)| reads(new, old)),
        (new, old) => new.is_none() && old.is_none(),
    };
    // A list reads what was a set.
    let mut old = old;
    if !new.contains_key("uniqueItems") {
        old.remove("uniqueItems");
    }
    new == old && items && places
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet, HashMap};

    use schemars::JsonSchema;

    use super::*;
    use crate::schema::schema_of;

    #[derive(JsonSchema)]
    #[allow(dead_code, reason = "only its schema is looked at")]
    struct Page {
        /// Described.
        number: u32,
        at: Option<jiff::Timestamp>,
    }

    mod later {
        use super::*;

        #[derive(JsonSchema)]
        #[allow(dead_code, reason = "only its schema is looked at")]
        pub(super) struct Page {
            number: u64,
            at: Option<jiff::Timestamp>,
            #[serde(default)]
            folder: String,
        }

        #[derive(JsonSchema)]
        #[allow(dead_code, reason = "only its schema is looked at")]
        pub(super) struct Longer {
            number: u32,
            folder: String,
        }

        #[derive(JsonSchema)]
        #[allow(dead_code, reason = "only its schema is looked at")]
        pub(super) enum Place {
            Begin,
            /// At a page.
            At(u64),
            Wait {
                until: u64,
            },
        }
    }

    #[derive(JsonSchema)]
    #[allow(dead_code, reason = "only its schema is looked at")]
    enum Place {
        Begin,
        At(u32),
    }

    fn read_as<New: JsonSchema, Old: JsonSchema>() -> bool {
        reads(&schema_of::<New>(), &schema_of::<Old>())
    }

    #[test]
    fn what_was_stored_is_read_by_a_wider_type() {
        assert!(read_as::<u64, u32>());
        assert!(read_as::<i64, u32>());
        assert!(read_as::<Option<u32>, u32>());
        assert!(read_as::<Option<u64>, Option<u32>>());
        assert!(read_as::<Option<Page>, Page>());
        assert!(read_as::<later::Page, Page>());
        assert!(read_as::<Vec<later::Page>, Vec<Page>>());
        assert!(read_as::<HashMap<String, later::Page>, BTreeMap<String, Page>>());
        assert!(read_as::<later::Place, Place>());
        assert!(read_as::<(u64, String), (u32, String)>());
        assert!(read_as::<Vec<u32>, BTreeSet<u32>>());
        assert!(read_as::<Value, Page>());
        assert!(read_as::<String, jiff::Timestamp>());
    }

    #[test]
    fn what_was_stored_is_not_read_by_another_type() {
        assert!(!read_as::<String, u64>());
        assert!(!read_as::<u64, String>());
        assert!(!read_as::<u32, u64>());
        assert!(!read_as::<u32, i32>());
        assert!(!read_as::<u32, Option<u32>>());
        assert!(!read_as::<Page, later::Page>());
        assert!(!read_as::<later::Longer, Page>());
        assert!(!read_as::<Place, later::Place>());
        assert!(!read_as::<(u32, String), (u32, String, u32)>());
        assert!(!read_as::<Vec<Page>, Page>());
        assert!(!read_as::<HashMap<String, String>, HashMap<String, u32>>());
        assert!(!read_as::<jiff::Timestamp, String>());
        assert!(!read_as::<bool, String>());
    }
}
