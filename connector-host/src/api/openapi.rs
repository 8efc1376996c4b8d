//! The OpenAPI document, made from the handlers that are mounted: what they take, and what they answer.

use std::sync::Arc;

use aide::OperationOutput;
use aide::generate::{GenContext, in_context};
use aide::openapi::{
    Header, HeaderStyle, Info, MediaType, OpenApi, Operation, ParameterSchemaOrContent, ReferenceOr, RequestBody,
    Response, SchemaObject, SecurityScheme, StatusCode,
};
use aide::operation::{OperationInput, ParamLocation, add_parameters, parameters_from_schema, set_body};
use aide::transform::TransformOperation;
use axum::http::header;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::caller::{Caller, Identity, Operator};
use super::extract::{Accepted, Body, Created, Path, Query};
use super::problem::{Problem, ProblemDocument};

/// The name of the way in.
const BEARER: &str = "bearer";

/// The finished document, as text.
pub(crate) type Document = Arc<str>;

/// Makes the schemas that follow JSON Schema 2020-12, which is that of OpenAPI 3.1. For the thread
/// that assembles the router, which is where aide keeps it.
pub(super) fn begin() {
    in_context(|context| {
        context.schema = SchemaGenerator::new(SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
        }));
    });
}

/// What the document says beside its operations.
pub(super) fn frame() -> OpenApi {
    let info = Info {
        title: "connectors".to_owned(),
        description: Some(
            "Connections of users to external services, what was synced, and what users do with it.".to_owned(),
        ),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..Info::default()
    };
    let mut document = OpenApi { info, ..OpenApi::default() };
    let description = "An API key, which sees everything, or the token of a session, which sees what its user may.";
    let scheme = SecurityScheme::Http {
        scheme: BEARER.to_owned(),
        bearer_format: None,
        description: Some(description.to_owned()),
        extensions: Default::default(),
    };
    let components = document.components.get_or_insert_default();
    components.security_schemes.insert(BEARER.to_owned(), ReferenceOr::Item(scheme));
    document
}

/// The document as it is served.
pub(super) fn finish(document: &OpenApi) -> Document {
    let mut document = serde_json::to_value(document).unwrap_or_default();
    let operations = document.get_mut("paths").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut);
    for operation in operations.filter_map(|path| path.get_mut("post")) {
        if operation.pointer("/requestBody/content/multipart~1form-data").is_none() {
            take_idempotency_key(operation);
        }
    }
    let schemas = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut);
    schemas.into_iter().flat_map(Map::values_mut).for_each(let_out_defaults);
    tidy(&mut document);
    document.to_string().into()
}

/// Every POST of JSON takes a key, whatever its handler does.
fn take_idempotency_key(operation: &mut Value) {
    let Some(operation) = operation.as_object_mut().filter(|operation| operation.contains_key("security")) else {
        return;
    };
    let parameter = json!({
        "name": "Idempotency-Key",
        "in": "header",
        "description": "A request that is sent again with the same key within 24 hours is done once, and answered as it was. Of an answer of more than 256 KiB, only the short fields are kept; it then has the header `Idempotency-Answer: reduced`.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    });
    if let Some(parameters) = operation.entry("parameters").or_insert_with(|| json!([])).as_array_mut() {
        parameters.push(parameter);
    }
    if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut)
        && let Some(problem) = responses.get("401").cloned()
    {
        for (status, what) in
            [("400", "Bad Request"), ("409", "Conflict"), ("413", "Payload Too Large"), ("422", "Unprocessable Entity")]
        {
            let mut problem = problem.clone();
            if let Some(description) = problem.get_mut("description") {
                *description = json!(what);
            }
            responses.entry(status).or_insert(problem);
        }
    }
}

/// A field that may be left out has no `default` here: generators take it for one that is always there, and make clients
/// send it. What it is when it is left out stands in its description.
fn let_out_defaults(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            let required = fields.get("required").cloned().unwrap_or_default();
            let is_required = |name: &str| required.as_array().is_some_and(|names| names.contains(&json!(name)));
            if let Some(properties) = fields.get_mut("properties").and_then(Value::as_object_mut) {
                for (_, property) in properties.iter_mut().filter(|(name, _)| !is_required(name)) {
                    let Some(property) = property.as_object_mut() else { continue };
                    let Some(default) = property.remove("default") else { continue };
                    // That a list is empty and a field is none needs no word.
                    let says = !(default.is_null()
                        || default.as_array().is_some_and(Vec::is_empty)
                        || default.as_object().is_some_and(Map::is_empty));
                    if says {
                        let described = property.get("description").and_then(Value::as_str).unwrap_or_default();
                        let described = format!("{described} Default: `{default}`.");
                        property.insert("description".to_owned(), json!(described.trim_start()));
                    }
                }
            }
            fields.values_mut().for_each(let_out_defaults);
        }
        Value::Array(items) => items.iter_mut().for_each(let_out_defaults),
        _ => {}
    }
}

/// Descriptions come from the docs of the code, whose links lead nowhere here.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(text) if name == "description" => *text = text.replace("[`", "`").replace("`]", "`"),
                    other => tidy(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// Names an operation, says what it does, and which problems it can end in beside those that follow
/// from what it takes.
pub(super) fn op(
    id: &'static str,
    summary: &'static str,
    problems: &'static [u16],
) -> impl FnOnce(TransformOperation<'_>) -> TransformOperation<'_> {
    move |mut operation| {
        in_context(|context| {
            for status in problems {
                add_response(operation.inner_mut(), *status, problem(context, *status));
            }
        });
        operation.id(id).summary(summary)
    }
}

/// Adds an answer that is no JSON, of one of these media types.
pub(super) fn answers<'a>(
    mut operation: TransformOperation<'a>,
    status: u16,
    media_types: &[&str],
    what: &str,
) -> TransformOperation<'a> {
    let content = media_types.iter().map(|media_type| ((*media_type).to_owned(), MediaType::default())).collect();
    let response = Response { description: what.to_owned(), content, ..Response::default() };
    add_response(operation.inner_mut(), status, response);
    operation
}

/// Says of an answer that is there what it means here.
pub(super) fn describes<'a>(mut operation: TransformOperation<'a>, status: u16, what: &str) -> TransformOperation<'a> {
    let responses = &mut operation.inner_mut().responses.get_or_insert_default().responses;
    if let Some(ReferenceOr::Item(response)) = responses.get_mut(&StatusCode::Code(status)) {
        what.clone_into(&mut response.description);
    }
    operation
}

/// Adds an answer that is JSON.
pub(super) fn answers_json<'a, T: JsonSchema>(
    mut operation: TransformOperation<'a>,
    status: u16,
    what: &str,
) -> TransformOperation<'a> {
    let response = in_context(|context| json_response::<T>(context, what));
    add_response(operation.inner_mut(), status, response);
    operation
}

fn add_response(operation: &mut Operation, status: u16, response: Response) {
    let responses = &mut operation.responses.get_or_insert_default().responses;
    responses.entry(StatusCode::Code(status)).or_insert(ReferenceOr::Item(response));
}

fn problem(context: &mut GenContext, status: u16) -> Response {
    let reason = axum::http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let mut response = json_response::<ProblemDocument>(context, reason.unwrap_or_default());
    if let Some(media) = response.content.shift_remove("application/json") {
        response.content.insert("application/problem+json".to_owned(), media);
    }
    if matches!(status, 429 | 503) {
        let seconds = Header {
            description: Some("Seconds after which the same request may succeed.".to_owned()),
            style: HeaderStyle::Simple,
            required: false,
            deprecated: None,
            format: ParameterSchemaOrContent::Schema(schema(json_schema!({"type": "integer", "minimum": 1}))),
            example: None,
            examples: Default::default(),
            extensions: Default::default(),
        };
        response.headers.insert(header::RETRY_AFTER.to_string(), ReferenceOr::Item(seconds));
    }
    response
}

pub(super) fn problems<const N: usize>(
    context: &mut GenContext,
    statuses: [u16; N],
) -> Vec<(Option<StatusCode>, Response)> {
    statuses.map(|status| (Some(StatusCode::Code(status)), problem(context, status))).into()
}

pub(super) fn schema(schema: schemars::Schema) -> SchemaObject {
    SchemaObject { json_schema: schema, example: None, external_docs: None }
}

fn json_response<T: JsonSchema>(context: &mut GenContext, what: &str) -> Response {
    let media = MediaType { schema: Some(schema(context.schema.subschema_for::<T>())), ..MediaType::default() };
    let content = [("application/json".to_owned(), media)].into_iter().collect();
    Response { description: what.to_owned(), content, ..Response::default() }
}

impl<T: JsonSchema> OperationInput for Path<T> {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        let schema = T::json_schema(&mut context.schema);
        let parameters = parameters_from_schema(context, schema, ParamLocation::Path);
        add_parameters(context, operation, parameters);
    }

    fn inferred_early_responses(context: &mut GenContext, _: &mut Operation) -> Vec<(Option<StatusCode>, Response)> {
        problems(context, [404])
    }
}

impl<T: JsonSchema> OperationInput for Query<T> {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        let schema = T::json_schema(&mut context.schema);
        let parameters = parameters_from_schema(context, schema, ParamLocation::Query);
        add_parameters(context, operation, parameters);
    }

    fn inferred_early_responses(context: &mut GenContext, _: &mut Operation) -> Vec<(Option<StatusCode>, Response)> {
        problems(context, [400, 422])
    }
}

impl<T: JsonSchema> OperationInput for Body<T> {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        let json_schema = context.schema.subschema_for::<T>();
        let resolved = context.resolve_schema(&json_schema);
        let required = resolved.get("required").and_then(Value::as_array).is_some_and(|fields| !fields.is_empty());
        let description = resolved.get("description").and_then(Value::as_str).map(str::to_owned);
        let media = MediaType { schema: Some(schema(json_schema)), ..MediaType::default() };
        let content = [("application/json".to_owned(), media)].into_iter().collect();
        set_body(context, operation, RequestBody { description, content, required, extensions: Default::default() });
    }

    fn inferred_early_responses(context: &mut GenContext, _: &mut Operation) -> Vec<(Option<StatusCode>, Response)> {
        problems(context, [400, 413, 422])
    }
}

fn needs_bearer(operation: &mut Operation) {
    let requirement = [(BEARER.to_owned(), Vec::new())].into_iter().collect();
    if !operation.security.contains(&requirement) {
        operation.security.push(requirement);
    }
}

impl OperationInput for Caller {
    fn operation_input(_: &mut GenContext, operation: &mut Operation) {
        needs_bearer(operation);
    }

    fn inferred_early_responses(context: &mut GenContext, _: &mut Operation) -> Vec<(Option<StatusCode>, Response)> {
        problems(context, [401, 403, 429])
    }
}

impl OperationInput for Identity {}

impl OperationInput for Operator {
    fn operation_input(_: &mut GenContext, operation: &mut Operation) {
        needs_bearer(operation);
        operation.extensions.insert("x-operator-only".to_owned(), Value::Bool(true));
    }

    fn inferred_early_responses(context: &mut GenContext, _: &mut Operation) -> Vec<(Option<StatusCode>, Response)> {
        problems(context, [401, 403, 429])
    }
}

impl OperationOutput for Problem {
    type Inner = ProblemDocument;

    fn inferred_responses(context: &mut GenContext, _: &mut Operation) -> Vec<(Option<StatusCode>, Response)> {
        problems(context, [503])
    }
}

impl<T: JsonSchema> OperationOutput for Created<T> {
    type Inner = T;

    fn inferred_responses(context: &mut GenContext, _: &mut Operation) -> Vec<(Option<StatusCode>, Response)> {
        vec![(Some(StatusCode::Code(201)), json_response::<T>(context, "It was made."))]
    }
}

impl OperationOutput for Accepted {
    type Inner = ();

    fn inferred_responses(_: &mut GenContext, _: &mut Operation) -> Vec<(Option<StatusCode>, Response)> {
        let response = Response { description: "It is on its way.".to_owned(), ..Response::default() };
        vec![(Some(StatusCode::Code(202)), response)]
    }
}
