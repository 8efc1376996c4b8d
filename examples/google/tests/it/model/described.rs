//! What Google says of its APIs: the calls, their parameters, and the fields of what is sent and answered (L28).
//!
//! `described.json` has the names and types of Google's discovery documents, in the revisions that it names, for the
//! resources that the connector uses: `#Type` is one of its types, `[T]` a list, `{"*": T}` a map. The documents are
//! part of Google's client libraries.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

use super::{Answer, Asked};

#[derive(Deserialize)]
struct Described {
    /// By method and path.
    methods: HashMap<String, Call>,
    types: HashMap<String, Value>,
}

#[derive(Deserialize)]
struct Call {
    /// Each with its type, or the values that it takes.
    query: HashMap<String, Value>,
    request: Option<Value>,
    response: Option<Value>,
}

static DESCRIBED: LazyLock<Described> =
    LazyLock::new(|| serde_json::from_str(include_str!("described.json")).expect("what Google says"));

/// Panics if a call, or what was answered to it, is not as Google describes it.
pub(super) fn check(asked: &Asked<'_>, answer: &Answer) {
    let shown = format!("{} /{}", asked.method, asked.path.join("/"));
    let called = |known: &&String| {
        let Some((method, path)) = known.split_once(' ') else { return false };
        let parts: Vec<_> = path.split('/').collect();
        method == asked.method
            && parts.len() == asked.path.len()
            && parts.iter().zip(&asked.path).all(|(part, given)| part.starts_with('{') || part == given)
    };
    let known = DESCRIBED.methods.keys().find(called).unwrap_or_else(|| panic!("Google has no call {shown}"));
    let call = &DESCRIBED.methods[known];
    for (name, given) in &asked.query {
        let takes = match call.query.get(name) {
            Some(Value::Array(values)) => values.iter().any(|value| value == given),
            Some(kind) if kind == "integer" => given.parse::<i64>().is_ok(),
            Some(kind) if kind == "boolean" => given.parse::<bool>().is_ok(),
            Some(_) => true,
            None => ["alt", "fields", "prettyPrint", "quotaUser"].contains(&name.as_str()),
        };
        assert!(takes, "{shown} takes no {name}={given}");
    }
    match &call.request {
        Some(kind) => compare(&asked.body, kind, &format!("what is sent with {shown}")),
        None => assert!(asked.body.is_null(), "{shown} takes no body: {}", asked.body),
    }
    match (answer, &call.response) {
        (Err(_), _) => {}
        (Ok(found), Some(kind)) => compare(found, kind, &format!("the answer to {shown}")),
        (Ok(found), None) => assert!(found.is_null(), "{shown} answers nothing: {found}"),
    }
}

/// Panics if a value is not of this type. All fields are optional in the documents.
fn compare(value: &Value, kind: &Value, place: &str) {
    match (kind, value) {
        (Value::String(name), _) if name.starts_with('#') => {
            compare(value, &DESCRIBED.types[name.trim_start_matches('#')], place);
        }
        (Value::String(name), value) => {
            let is = match name.as_str() {
                "string" => value.is_string(),
                "integer" => value.is_i64() || value.is_u64(),
                "number" => value.is_number(),
                "boolean" => value.is_boolean(),
                _ => true,
            };
            // Null takes back what was set.
            assert!(is || value.is_null(), "{place} is {value}, and Google has a {name} there");
        }
        (Value::Array(kinds), Value::Array(values)) => {
            for (value, kind) in values.iter().flat_map(|value| kinds.iter().map(move |kind| (value, kind))) {
                compare(value, kind, place);
            }
        }
        (Value::Object(fields), Value::Object(values)) => {
            for (name, value) in values {
                let kind = fields.get(name).or_else(|| fields.get("*"));
                let kind = kind.unwrap_or_else(|| panic!("{place} has no field {name} at Google"));
                compare(value, kind, &format!("`{name}` of {place}"));
            }
        }
        (_, Value::Null) => {}
        (kind, value) => panic!("{place} is {value}, and Google has {kind} there"),
    }
}
