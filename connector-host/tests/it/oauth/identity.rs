//! Whose account it is, where the connector does not ask the service.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

/// Nothing but an account.
#[connector(id = "bare", provider = OFFICE, scopes = ["papers"])]
#[derive(Default)]
pub struct Bare;

#[connector]
impl Connector for Bare {}

/// An ID token for this audience (OpenID Connect Core 1.0 2).
fn id_token(audience: Value) -> Value {
    let claims = json!({"aud": audience, "sub": "u-7", "email": "ada@office.test"});
    json!(format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string())))
}

/// OpenID Connect Core 1.0 3.1.3.7: an ID token for this client says whose account it is; one for another says nothing.
#[tokio::test]
async fn an_id_token_for_this_client_names_the_account() {
    let directory = directory("id-token");
    let authority = Authority::start().await;
    let config = config(&directory, &authority);
    let registry = Registry::of::<Bare>().expect("a registry");
    let bench = Bench::of(directory, authority, config, registry, Arc::new(SystemClock)).await;
    for (number, (audience, named)) in [
        (json!(CLIENT_ID), true),
        (json!(["another", CLIENT_ID]), true),
        (json!("another"), false),
        (json!(null), false),
    ]
    .into_iter()
    .enumerate()
    {
        bench.authority.seen().beside = vec![("id_token", id_token(audience.clone()))];
        let user = format!("user-{number}");
        let (id, url) = bench.begin_with("bare", &user).await;
        let (status, _, body) = bench.back(&bench.authority.allow(&url, &user)).await;
        assert_eq!(status, 200, "{body}");
        let account = bench.get(&format!("/connections/{id}")).await["account"].clone();
        let expected = if named { (json!("u-7"), json!("ada@office.test")) } else { (Value::Null, Value::Null) };
        assert_eq!((account["id"].clone(), account["name"].clone()), expected, "{audience} {account}");
    }
    bench.end().await;
}
