use super::*;

fn variables(list: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    list.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn from_file(name: &str, text: &str) -> Result<Config, ConfigError> {
    load(name, text, &[], Vec::new())
}

fn load(
    name: &str,
    text: &str,
    environment: &[(&str, &str)],
    flags: Vec<(&'static str, String)>,
) -> Result<Config, ConfigError> {
    let directory = std::env::temp_dir().join(format!("connectors-config-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let path = directory.join("connectors.toml");
    std::fs::write(&path, text).expect("a file");
    let loaded = Config::load(Sources { file: Some(path), environment: variables(environment), flags });
    std::fs::remove_dir_all(&directory).expect("a directory");
    loaded
}

/// Design 6.1: the environment goes before the file, and flags before both.
#[test]
fn flags_go_before_the_environment_and_that_before_the_file() {
    let text = "
        database = 'sqlite:file.db'
        listen = '127.0.0.1:1'
        public_url = 'https://file.example.com'
        durability = 'relaxed'
        [network]
        allow_private = true
        [limits]
        concurrency = 7
        max_time = 5
        [providers.github]
        client_id = 'from the file'
        api_url = 'https://github.example.com/api/v3'
        [providers.acme-crm]
        client_id = 'acme'
    ";
    let environment = [
        ("CONNECTORS_LISTEN", "127.0.0.1:2"),
        ("CONNECTORS_PUBLIC_URL", "https://environment.example.com"),
        ("CONNECTORS_PROVIDERS__GITHUB__CLIENT_ID", "from the environment"),
        ("CONNECTORS_PROVIDERS__ACME_CRM__CLIENT_SECRET", "hidden"),
        ("CONNECTORS_LIMITS__PER_CONNECTION", "3"),
        ("CONNECTORS_API_KEY", "hidden"),
        ("CONNECTORS_TOKEN", "hidden"),
        ("PATH", "/bin"),
    ];
    let config = load("order", text, &environment, vec![("listen", "0.0.0.0:3".to_owned())]).expect("a configuration");
    assert_eq!(config.listen, "0.0.0.0:3");
    assert_eq!(config.public_url.as_ref().map(Url::as_str), Some("https://environment.example.com/"));
    assert_eq!(config.database, PathBuf::from("file.db"));
    assert_eq!(config.durability, Durability::Relaxed);
    assert!(config.allow_private);
    assert_eq!(config.providers["github"].client_id.as_deref(), Some("from the environment"));
    assert_eq!(config.providers["acme-crm"].client_secret.as_ref().map(Secret::expose), Some("hidden"));
    let runtime = config.runtime();
    assert_eq!((runtime.concurrency, runtime.per_connection), (7, 3));
    assert_eq!(runtime.max_time, Duration::from_secs(5));
    assert_eq!(runtime.api_urls["github"], "https://github.example.com/api/v3");
    assert!(!format!("{config:?}").contains("hidden"), "L29: no secret is shown");
}

/// Bars: a message says what to do; all mistakes at once.
#[test]
fn mistakes_name_the_key_the_place_and_what_is_allowed() {
    let text = "
        listn = '127.0.0.1:1'
        listen = 7300
        database = 'postgres://localhost'
        limits = 3
        [network]
        allow_private = 'yes'
        [providers.github]
        clientid = 'x'
        client_secret = 17
        [web]
        port = 3
    ";
    let environment =
        [("CONNECTORS_LIMITS__CONCURRENCY", "0"), ("CONNECTORS_DATABSE", "sqlite:x.db"), ("CONNECTORS_SECRET_KEY", "")];
    let ConfigError(mistakes) =
        load("mistakes", text, &environment, vec![("public_url", "nowhere".to_owned())]).expect_err("mistakes");
    for expected in [
        "connectors.toml: there is no setting `listn`: there are database, durability, limits.body_time, limits.budget_dispatches",
        "connectors.toml: `listen` takes an address and a port, such as `127.0.0.1:7300`, not `7300`",
        "connectors.toml: `database` takes `sqlite:PATH`, such as `sqlite:connectors.db`, not `postgres://localhost`",
        "connectors.toml: there is no setting `limits`",
        "connectors.toml: `network.allow_private` takes `true` or `false`, not `yes`",
        "connectors.toml: there is no setting `providers.github.clientid`: there are providers.github.api_url",
        "connectors.toml: `providers.github.client_secret` takes a text",
        "connectors.toml: there is no setting `web`",
        "CONNECTORS_LIMITS__CONCURRENCY: `limits.concurrency` takes a whole number from 1 to 4294967295, not `0`",
        "CONNECTORS_DATABSE: there is no setting `databse`",
        "CONNECTORS_SECRET_KEY: `secret_key` takes a text",
        "--public-url: `public_url` takes a URL, such as `https://api.example.com`, not `nowhere`",
    ] {
        assert!(
            mistakes.iter().any(|mistake| mistake.contains(expected)),
            "{expected} is not in\n{}",
            mistakes.join("\n")
        );
    }
    assert_eq!(mistakes.len(), 12, "{}", mistakes.join("\n"));
}

/// Bars
#[test]
fn a_file_that_is_missing_or_no_toml_is_named() {
    let missing = Config::load(Sources { file: Some("/nowhere/my.toml".into()), ..Sources::default() });
    assert!(missing.expect_err("it is missing").to_string().starts_with("/nowhere/my.toml cannot be read: "));
    let broken = from_file("broken", "a = 1\nlisten = \n").expect_err("it is no TOML").to_string();
    assert!(broken.contains("connectors.toml, line 2 is not TOML"), "{broken}");
}
