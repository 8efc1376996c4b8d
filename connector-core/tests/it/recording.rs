//! Recorded exchanges: replayed as they were, without the secrets.

use connector_core::network::{NetworkPort, Request, UrlRules};
use connector_core::secret::Secret;
use connector_core::testing::{FakeService, Recorder, Recording};
use http::{HeaderValue, Method};

fn request(method: Method, url: &str, body: &str) -> Request {
    let mut request = Request::new(method, url.parse().unwrap());
    let mut token = HeaderValue::from_static("Bearer very-secret-token");
    token.set_sensitive(true);
    request.headers.insert("authorization", token);
    request.body = body.to_owned().into();
    request
}

/// A service that tells what it was told, and more each time.
fn service() -> FakeService {
    let mut count = 0;
    FakeService::new(move |request| {
        count += 1;
        let said = String::from_utf8_lossy(&request.body.bytes().unwrap_or_default()).into_owned();
        let headers = [("content-type", "application/json"), ("set-cookie", "session=cookie-of-ada")];
        let body = format!(
            r#"{{"count":{count},"said":"{}","echo":"very-secret-token","refresh_token":"another-secret-one","next_page_token":"page-two-please"}}"#,
            said.replace('"', "'"),
        );
        FakeService::answer_with(200, &headers, body)
    })
}

const SECRETS: [&str; 7] = [
    "very-secret-token",
    "another-secret-one",
    "cookie-of-ada",
    "key-in-the-url",
    "password-in-a-form",
    "secret-in-a-field",
    "named-by-the-test",
];

/// R12.3: what was recorded is replayed for ever, what was not is reported, and no secret is in the file.
#[tokio::test]
async fn exchanges_are_replayed_without_their_secrets() {
    let rules = UrlRules::parse(&["https://api.test/*"]).unwrap();
    let recorder = Recorder::new(service()).secret(&Secret::new("named-by-the-test"));
    let requests = [
        request(Method::GET, "https://api.test/items?api_key=key-in-the-url&page=2", ""),
        request(Method::GET, "https://api.test/items?api_key=key-in-the-url&page=2", ""),
        request(Method::POST, "https://api.test/login", "user=ada&password=password-in-a-form"),
        request(
            Method::POST,
            "https://api.test/items",
            r#"{"client_secret":"secret-in-a-field","title":"named-by-the-test"}"#,
        ),
    ];
    for request in requests.clone() {
        recorder.send(request, &rules).await.unwrap();
    }
    let file = std::env::temp_dir().join(format!("connector-recording-{}.json", std::process::id()));
    recorder.write(&file).unwrap();
    let written = std::fs::read_to_string(&file).unwrap();
    for secret in SECRETS {
        assert!(!written.contains(secret), "`{secret}` is in the recording:\n{written}");
    }
    assert!(written.contains("page-two-please"), "{written}");

    let recording = Recording::read(&file).unwrap().secret(&Secret::new("named-by-the-test"));
    std::fs::remove_file(&file).unwrap();
    let mut counts = Vec::new();
    for request in requests.iter().chain(&requests).cloned() {
        let response = recording.send(request, &rules).await.unwrap();
        counts.push(response.json::<serde_json::Value>().unwrap()["count"].as_u64().unwrap());
    }
    // The same request again gets what came next, and then the last for ever.
    assert_eq!(counts, [1, 2, 3, 4, 2, 2, 3, 4]);
    assert_eq!(recording.not_recorded(), Vec::<String>::new());
    let error = recording.send(request(Method::GET, "https://api.test/other", ""), &rules).await.unwrap_err();
    assert!(error.to_string().contains("`GET https://api.test/other` was not recorded"), "{error}");
    assert_eq!(recording.not_recorded(), ["GET https://api.test/other"]);
    let undeclared = recording.send(request(Method::GET, "https://elsewhere.test/", ""), &rules).await;
    assert!(undeclared.unwrap_err().to_string().contains("declares"));
}

/// R12.3
#[test]
fn what_is_no_recording_is_named() {
    let error = Recording::read("no/such/file.json").unwrap_err().to_string();
    assert!(error.contains("no/such/file.json"), "{error}");
}
