//! The OpenAPI document, and that it is that of the routes which are mounted.

use std::collections::BTreeSet;

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt;

use crate::desk::{Bench, KEY};

pub(crate) const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

/// An operation of the document.
pub(crate) struct Operation {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) described: Value,
}

impl Operation {
    pub(crate) fn id(&self) -> &str {
        self.described["operationId"].as_str().unwrap_or_default()
    }

    pub(crate) fn needs_key(&self) -> bool {
        self.described["security"].is_array()
    }

    pub(crate) fn operator_only(&self) -> bool {
        self.described["x-operator-only"] == true
    }
}

pub(crate) async fn document(bench: &Bench) -> Value {
    let request = Request::get("/openapi.json").body(Body::empty()).expect("a request");
    let (status, document) = bench.raw(request).await;
    assert_eq!(status, StatusCode::OK);
    document
}

pub(crate) fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, described) in item.as_object().expect("operations") {
            if METHODS.contains(&method.as_str()) {
                operations.push(Operation { method: method.clone(), path: path.clone(), described: described.clone() });
            }
        }
    }
    operations
}

/// A path with something in the place of each parameter.
fn filled(path: &str) -> String {
    path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect::<Vec<_>>().join("/")
}

/// What services and browsers are sent to, which is not for those who use the API.
const INGRESS: [&str; 6] = [
    "/hooks/{token}",
    "/hooks/app/{connector}",
    "/oauth/authorize/{ticket}",
    "/oauth/callback",
    "/oauth/fragment.js",
    "/oauth/page.css",
];

/// Design 6.2: every route is in the document, but for the ingress, and everything in the document is a route.
#[tokio::test]
async fn the_document_has_the_routes_that_are_mounted() {
    let bench = Bench::new("document").await;
    let document = document(&bench).await;
    assert!(document["openapi"].as_str().expect("a version").starts_with("3.1"), "{}", document["openapi"]);
    let operations = operations(&document);
    let described: BTreeSet<_> = operations.iter().map(|one| (one.path.clone(), one.method.clone())).collect();
    let fallbacks = ["/", "/api/v1", "/api/v1/"];
    // The router tells its paths in no other way.
    let debug = format!("{:?}", bench.router);
    let mounted: BTreeSet<_> = debug
        .split('"')
        .filter(|text| text.starts_with('/') && !fallbacks.contains(text) && !text.contains("{*"))
        .map(str::to_owned)
        .collect();
    assert!(mounted.len() > 30, "{mounted:?}");
    for path in described.iter().map(|(path, _)| path) {
        assert!(mounted.contains(path), "{path} is described and not mounted");
    }
    for path in INGRESS {
        assert!(mounted.contains(path), "{path} is mounted");
    }
    for path in mounted.iter().filter(|path| !INGRESS.contains(&path.as_str())) {
        for method in METHODS {
            let request = Request::builder().method(method.to_uppercase().as_str()).uri(filled(path));
            let request = request.header("authorization", format!("Bearer {KEY}")).body(Body::empty());
            let response = bench.router.clone().oneshot(request.expect("a request")).await.expect("an answer");
            let takes = response.status() != StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(takes, described.contains(&(path.clone(), method.to_owned())), "{method} {path}");
        }
    }
    bench.end().await;
}

/// Design 6.2: each operation has a name, a summary, typed answers, and the problems it can end in.
#[tokio::test]
async fn every_operation_is_described() {
    let bench = Bench::new("described").await;
    let document = document(&bench).await;
    let mut ids = BTreeSet::new();
    for operation in operations(&document) {
        let (id, described) = (operation.id().to_owned(), &operation.described);
        assert!(!id.is_empty() && ids.insert(id.clone()), "{} {}: `{id}`", operation.method, operation.path);
        assert!(described["summary"].is_string(), "{id}");
        let responses = described["responses"].as_object().expect("responses");
        assert!(responses.keys().any(|status| status.starts_with('2')), "{id}");
        for (status, response) in responses {
            if status.starts_with(['4', '5']) {
                let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/ProblemDocument", "{id} {status}");
            }
        }
        if operation.path.starts_with("/api/v1") {
            assert!(operation.needs_key(), "{id}");
            assert!(responses.contains_key("401") && responses.contains_key("429"), "{id}");
        }
        let placeholders = operation.path.matches('{').count();
        let parameters = described["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        assert_eq!(parameters.iter().filter(|one| one["in"] == "path").count(), placeholders, "{id}");
    }
    // Every reference leads somewhere.
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
    bench.end().await;
}
