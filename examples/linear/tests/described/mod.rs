//! What Linear's schema says of a request and of the answer to it (L28).
//!
//! `schema.graphql` has the names and types that Linear's own SDK has, as far as the connector uses them.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};

use apollo_compiler::executable::{Selection, SelectionSet};
use apollo_compiler::request::coerce_variable_values;
use apollo_compiler::response::JsonMap;
use apollo_compiler::schema::{ExtendedType, Type};
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Schema};
use serde_json::Value;

static SCHEMA: LazyLock<Valid<Schema>> = LazyLock::new(|| {
    Schema::parse_and_validate(include_str!("schema.graphql"), "schema.graphql").expect("Linear's schema")
});

/// Panics if a query is none of the schema, its variables are not, or an answer without errors is not what it asks for.
pub(crate) fn check(request: &Value, answer: &Value) {
    let query = request["query"].as_str().expect("a query");
    let document = parsed(query);
    let operation = document.operations.get(None).expect("one operation");
    let variables: JsonMap = serde_json::from_value(request["variables"].clone()).expect("variables");
    if let Err(wrong) = coerce_variable_values(&SCHEMA, operation, &variables) {
        panic!("Linear takes no such variables: {wrong:?}\n{query}\n{}", request["variables"]);
    }
    if answer["errors"].is_null() {
        fields(&document, &operation.selection_set, &answer["data"], "the answer");
    }
}

/// A query that the schema has; each is looked at once.
fn parsed(query: &str) -> Arc<Valid<ExecutableDocument>> {
    static PARSED: Mutex<BTreeMap<String, Arc<Valid<ExecutableDocument>>>> = Mutex::new(BTreeMap::new());
    let known = PARSED.lock().expect("no panic").get(query).cloned();
    known.unwrap_or_else(|| {
        let document = ExecutableDocument::parse_and_validate(&SCHEMA, query, "query.graphql")
            .unwrap_or_else(|wrong| panic!("Linear takes no such query: {}", wrong.errors));
        let document = Arc::new(document);
        PARSED.lock().expect("no panic").insert(query.to_owned(), Arc::clone(&document));
        document
    })
}

fn fields(document: &ExecutableDocument, asked: &SelectionSet, found: &Value, place: &str) {
    for selection in &asked.selections {
        match selection {
            Selection::Field(field) => {
                let (name, place) = (field.response_key().as_str(), format!("`{}` of {place}", field.response_key()));
                let value = found.get(name).unwrap_or_else(|| panic!("{place} is missing: {found}"));
                value_of(document, field.ty(), &field.selection_set, value, &place);
            }
            Selection::FragmentSpread(spread) => {
                let fragment = spread.fragment_def(document).expect("a fragment");
                fields(document, &fragment.selection_set, found, place);
            }
            Selection::InlineFragment(inline) => fields(document, &inline.selection_set, found, place),
        }
    }
}

fn value_of(document: &ExecutableDocument, kind: &Type, asked: &SelectionSet, value: &Value, place: &str) {
    if value.is_null() {
        assert!(!kind.is_non_null(), "{place} is null, and Linear has a {kind} there");
        return;
    }
    if kind.is_list() {
        let values = value.as_array().unwrap_or_else(|| panic!("{place} is {value}, and Linear has a {kind} there"));
        for value in values {
            value_of(document, kind.item_type(), asked, value, place);
        }
        return;
    }
    let name = kind.inner_named_type();
    let is = match SCHEMA.types.get(name) {
        Some(ExtendedType::Enum(known)) => value.as_str().is_some_and(|value| known.values.contains_key(value)),
        Some(ExtendedType::Scalar(_)) => match name.as_str() {
            "Int" => value.is_i64() || value.is_u64(),
            "Float" => value.is_number(),
            "Boolean" => value.is_boolean(),
            "JSON" | "JSONObject" => true,
            _ => value.is_string(),
        },
        _ => value.is_object(),
    };
    assert!(is, "{place} is {value}, and Linear has a {kind} there");
    if value.is_object() {
        fields(document, asked, value, place);
    }
}
