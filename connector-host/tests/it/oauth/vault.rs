use super::*;

/// Design 7: nothing is readable in a stolen database file.
#[tokio::test]
async fn a_stolen_database_holds_no_secret() {
    let bench = Bench::new("stolen-file").await;
    bench.connected("ada").await;
    let (_, url) = bench.begin("bob").await;
    let state = bench.authority.allow(&url, "bob")["state"].clone();
    let mut secrets: Vec<String> = bench.authority.seen().access.keys().cloned().collect();
    assert_eq!(secrets.len(), 1);
    secrets.extend(["refresh-".to_owned(), state, KEY.to_owned(), CLIENT_SECRET.to_owned()]);
    secrets.extend(["access_token", "verifier"].map(str::to_owned));
    let mut read = 0;
    for file in std::fs::read_dir(&bench.directory).expect("a directory") {
        let file = file.expect("a file").path();
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        if !name.ends_with(".db") && !name.ends_with("-wal") {
            continue;
        }
        let bytes = std::fs::read(&file).expect("its bytes");
        read += bytes.len();
        for secret in &secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in {name}");
        }
    }
    assert!(read > 4096);
    bench.end().await;
}

/// Design 7: the operator replaces the key while the host runs, and the old one can go.
#[tokio::test]
async fn keys_are_rotated_while_the_host_runs() {
    let bench = Bench::new("rotation").await;
    let id = bench.connected("ada").await;
    let (_, url) = bench.begin("bob").await;
    let file = bench.directory.join("test.db.key");
    let old = std::fs::read_to_string(&file).expect("a key");
    let new = "a-new-key-of-the-operator-0123456789-abcdef";
    std::fs::write(&file, format!("{new}\n{old}")).expect("a key file");
    let (rotated, again) =
        tokio::join!(bench.ok("POST", "/vault/rotate", Value::Null), bench.ok("POST", "/vault/rotate", Value::Null),);
    assert_eq!(rotated["operator_key"], again["operator_key"]);
    assert_ne!(rotated["data_key"], again["data_key"]);
    assert_eq!(rotated["resealed"], 2, "the credential and the authorization");
    // A rotation that a crash has interrupted goes on with the data key that it made.
    let newest = again["data_key"].as_str().expect("the id of a key").to_owned();
    let unfinished = connector_core::engine::Write::PutSetting {
        name: "vault/rotating".to_owned(),
        value: Some(newest.clone().into()),
    };
    bench
        .host
        .runtime()
        .ports()
        .engine
        .commit(connector_core::engine::WriteSet::of([unfinished]))
        .await
        .expect("it is stored");
    let resumed = bench.ok("POST", "/vault/rotate", Value::Null).await;
    assert_eq!((&resumed["data_key"], &resumed["resealed"]), (&json!(newest), &json!(0)));
    let next = bench.ok("POST", "/vault/rotate", Value::Null).await;
    assert_ne!(next["data_key"], json!(newest), "the one before has ended");
    // Both are good still, and the old key is of no use.
    std::fs::write(&file, new).expect("a key file");
    let bench = bench.reopened(|_| {}).await;
    let (status, _, body) = bench.back(&bench.authority.allow(&url, "bob")).await;
    assert_eq!(status, 200, "{body}");
    bench.ok("PUT", &format!("/connections/{id}/channels/room-1"), Value::Null).await;
    bench.until(&format!("/connections/{id}"), |found| found["channels"][0]["sync"]["state"] == "synced").await;
    std::fs::write(&file, old).expect("a key file");
    let config = bench.host.config().clone();
    bench.host.shutdown().await.expect("an end in order");
    let refused = Host::open(config, Registry::of::<Office>().expect("a registry")).await.err().expect("a refusal");
    assert!(refused.to_string().contains("restore the key"), "{refused}");
    std::fs::remove_dir_all(&bench.directory).expect("the directory goes");
}
