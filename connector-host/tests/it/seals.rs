//! Sealed values, key files and the first API key (design 7).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use connector_core::engine::{ConnectionRow, Write, WriteSet};
use connector_core::id::ConnectionId;
use connector_core::ports::{Ports, SealContext};
use connector_core::registry::Registry;
use connector_core::secret::Secret;
use connector_host::{Config, Host, HostError};
use serde_json::json;

use crate::desk::{self, Bench, Desk, OPTION};

async fn row(ports: &Ports, id: &str) -> ConnectionRow {
    let id: ConnectionId = id.parse().expect("an id");
    let row = ports.engine.connection(id).await.expect("a store").expect("a connection");
    Arc::unwrap_or_clone(row)
}

/// Writes around the host, as somebody does who can write to the database file.
async fn write(ports: &Ports, writes: impl IntoIterator<Item = Write>) {
    ports.engine.commit(WriteSet::of(writes)).await.expect("it is stored");
}

fn put(row: ConnectionRow) -> Write {
    let expect = Some(row.version);
    Write::PutConnection { row: Box::new(row), expect }
}

#[tokio::test]
async fn an_option_copied_to_another_connection_does_not_open() {
    let bench = Bench::new("copied-option").await;
    let (ada, eve) = (bench.connect("ada").await, bench.connect("eve").await);
    let ports = bench.host.runtime().ports();
    let sealed = row(ports, &ada).await.options["api_key"].clone();
    let mut copied = row(ports, &eve).await;
    copied.options.insert("api_key".to_owned(), sealed);
    write(ports, [put(copied)]).await;
    for (id, opens) in [(&ada, true), (&eve, false)] {
        let (status, answer) =
            bench.ask("PATCH", &format!("/connections/{id}"), json!({"options": {"tickets": 5}})).await;
        assert_eq!(status.is_success(), opens, "{answer}");
        assert!(opens || answer.to_string().contains("`api_key` cannot be opened"), "{answer}");
    }
    bench.end().await;
}

/// Whether a sealed value is bound to its place: its first byte, of which base64url has six bits in the first letter, is 2.
fn is_bound(sealed: &str) -> bool {
    sealed.starts_with('A') && sealed.chars().nth(1).is_some_and(|letter| ('g'..='v').contains(&letter))
}

/// R7.1: a database of an earlier version opens as before, and is sealed anew.
#[tokio::test]
async fn what_an_earlier_version_sealed_is_bound_at_the_start() {
    let directory = desk::directory("earlier-seals");
    let registry = || Registry::of::<Desk>().expect("a registry");
    let host = Host::open(desk::config(&directory), registry()).await.expect("a host");
    let ports = host.runtime().ports();
    let earlier = |purpose: &str, plain: &[u8]| ports.vault.seal(&SealContext::token(purpose), plain);
    let request = {
        let mut request = connector_core::runtime::ConnectRequest::new("desk", "ada");
        request.options = json!({"api_key": OPTION}).as_object().cloned().expect("an object");
        request
    };
    let id = host.runtime().connect(request).await.expect("a connection").id.to_string();
    let mut old = row(ports, &id).await;
    assert!(is_bound(old.options["api_key"]["sealed"].as_str().expect("a text")));
    old.options.insert("api_key".to_owned(), json!(earlier("option", OPTION.as_bytes())));
    let secret = connector_core::engine::SecretRow {
        name: "credential/desk/acme".to_owned(),
        connection: None,
        sealed: earlier("credential", b"a token"),
        expires_at: None,
        version: 0,
    };
    write(
        ports,
        [
            put(old),
            Write::PutSecret { row: secret, expect: None },
            Write::PutSetting { name: "vault/bound".to_owned(), value: None },
        ],
    )
    .await;
    host.shutdown().await.expect("an end in order");
    let host = Host::open(desk::config(&directory), registry()).await.expect("a host");
    let ports = host.runtime().ports();
    let sealed = row(ports, &id).await.options["api_key"]["sealed"].as_str().expect("a text").to_owned();
    let secret = ports.engine.secret("credential/desk/acme".to_owned()).await.expect("a store").expect("a secret");
    assert!(is_bound(&sealed) && is_bound(&secret.sealed), "{sealed} {}", secret.sealed);
    let open = |place: String, sealed: &str| ports.vault.open(&SealContext::stored("option", place), sealed);
    assert_eq!(open(format!("{id}/api_key"), &sealed), Ok(OPTION.as_bytes().to_vec()));
    assert!(open("con_999/api_key".to_owned(), &sealed).is_err());
    let credential = connector_core::credential::Credential::open(&*ports.vault, &secret.name, &secret.sealed);
    assert_eq!(credential.expect("it opens").access_token.expose(), "a token");
    host.shutdown().await.expect("an end in order");
    std::fs::remove_dir_all(&directory).expect("the directory goes");
}

async fn refusal(config: Config) -> String {
    let opened = Host::open(config, Registry::of::<Desk>().expect("a registry")).await;
    opened.err().expect("a refusal").to_string()
}

fn named(directory: &Path, file: &str) -> (Config, PathBuf) {
    let (mut config, file) = (desk::config(directory), directory.join(file));
    config.secret_key_file = Some(file.clone());
    (config, file)
}

/// Issue 12, 25: a key file that does not exist, named or not, is made on the first start.
#[tokio::test]
async fn a_named_key_file_is_made_on_the_first_start_only() {
    let directory = desk::directory("named-key");
    let registry = || Registry::of::<Desk>().expect("a registry");
    let (config, file) = named(&directory, "vault.key");
    let host = Host::open(config.clone(), registry()).await.expect("a host");
    host.shutdown().await.expect("an end in order");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).expect("a key file").permissions().mode() & 0o777, 0o600);
    }
    assert!(!directory.join("test.db.key").exists(), "the named file takes the place of the other");
    let key = std::fs::read_to_string(&file).expect("a key file");
    std::fs::remove_file(&file).expect("the key goes");
    let refused = refusal(config.clone()).await;
    assert!(refused.contains("vault.key") && refused.contains("it is not there"), "{refused}");
    assert!(!file.exists(), "no key is made for a database that has one");
    std::fs::write(&file, key).expect("a file");
    Host::open(config, registry()).await.expect("the key is back").shutdown().await.expect("an end in order");
    let (config, _) = named(&directory, "no/such/folder/vault.key");
    let refused = refusal(config).await;
    assert!(refused.contains("vault.key"), "{refused}");
    std::fs::remove_dir_all(&directory).expect("the directory goes");
}

/// Issue 10, 9: what cannot be made leaves nothing that stops the next start.
#[tokio::test]
async fn a_first_start_that_fails_leaves_no_key_file() {
    let directory = desk::directory("failed-key");
    let (config, file) = named(&directory, "folder/vault.key");
    let refused = refusal(config.clone()).await;
    assert!(refused.contains("vault.key cannot be made"), "{refused}");
    std::fs::create_dir(file.parent().expect("a folder")).expect("a folder");
    let host = Host::open(config, Registry::of::<Desk>().expect("a registry")).await.expect("a host");
    host.shutdown().await.expect("an end in order");
    let names: Vec<_> = std::fs::read_dir(directory.join("folder"))
        .expect("a folder")
        .map(|entry| entry.expect("a file").file_name())
        .collect();
    assert_eq!(names, ["vault.key"]);
    std::fs::remove_dir_all(&directory).expect("the directory goes");
}

#[tokio::test]
async fn a_short_first_api_key_refuses_the_start() {
    let directory = desk::directory("short-key");
    for (key, length) in [("a".to_owned(), 1), ("k".repeat(31), 31), ("ä".repeat(31), 31)] {
        let mut config = desk::config(&directory);
        config.api_key = Some(Secret::new(key.clone()));
        let opened = Host::open(config, Registry::of::<Desk>().expect("a registry")).await;
        let error = opened.err().expect("a refusal");
        assert!(matches!(error, HostError::Config(_)));
        let error = error.to_string();
        assert!(error.contains(&format!("CONNECTORS_API_KEY has {length} characters")), "{error}");
        assert!(error.contains("openssl rand") && (length == 1 || !error.contains(&key)), "{error}");
    }
    let mut config = desk::config(&directory);
    config.api_key = Some(Secret::new("k".repeat(32)));
    let host = Host::open(config, Registry::of::<Desk>().expect("a registry")).await.expect("a host");
    host.shutdown().await.expect("an end in order");
    std::fs::remove_dir_all(&directory).expect("the directory goes");
}
