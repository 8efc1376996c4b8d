//! Configuration: a file, overridden by the environment, overridden by flags (design 6.1, 6.3).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use connector_core::runtime;
use connector_core::secret::Secret;
use connector_core::webhook::MAX_BODY;
use url::Url;

use crate::engine::sqlite::Durability;
use crate::server::ServerLimits;

/// The file that is read if none is named.
pub const DEFAULT_FILE: &str = "connectors.toml";

const PREFIX: &str = "CONNECTORS_";

/// Variables that begin like settings and are read elsewhere.
const OTHER_VARIABLES: [&str; 3] = ["CONNECTORS_API_KEY", "CONNECTORS_CONFIG", "CONNECTORS_TOKEN"];

/// Everything that an operator decides about a host.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// The database file.
    pub database: PathBuf,
    /// Where the API listens: `host:port`.
    pub listen: String,
    /// What redirect and webhook URLs begin with.
    pub public_url: Option<Url>,
    /// The keys of the vault; they go before those of the file.
    pub secret_key: Option<Secret>,
    /// The file with the keys of the vault; `None` means a file beside the database. The file is made if it is not
    /// there and the database holds nothing sealed yet.
    pub secret_key_file: Option<PathBuf>,
    /// An API key that works from the start, of at least 32 characters.
    pub api_key: Option<Secret>,
    /// Connectors may reach private addresses (R10.1).
    pub allow_private: bool,
    /// What differs from the built-in settings of providers, by provider id.
    pub providers: BTreeMap<String, ProviderConfig>,
    /// Users may be sent back to these places, and what is below them, when they have authorized a connection.
    pub return_to: Vec<Url>,
    /// How much runs, and how long.
    pub limits: Limits,
    /// What a commit waits for.
    pub durability: Durability,
    /// How the log is written.
    pub log: LogFormat,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// An object for each line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            database: PathBuf::from("connectors.db"),
            listen: "127.0.0.1:7300".to_owned(),
            public_url: None,
            secret_key: None,
            secret_key_file: None,
            api_key: None,
            allow_private: false,
            providers: BTreeMap::new(),
            return_to: Vec::new(),
            limits: Limits::default(),
            durability: Durability::Full,
            log: LogFormat::default(),
        }
    }
}

/// What an operator says about a provider; what is none is built in.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "the names are those of OAuth 2.0 and OIDC")]
pub struct ProviderConfig {
    pub client_id: Option<String>,
    pub client_secret: Option<Secret>,
    pub authorize_url: Option<Url>,
    pub token_url: Option<Url>,
    pub revoke_url: Option<Url>,
    pub issuer: Option<Url>,
    /// Where the API begins.
    pub api_url: Option<Url>,
    /// What the service signs its webhooks with, where it has one for the whole app.
    pub webhook_secret: Option<Secret>,
}

/// How much runs side by side, how long, and how often; what is none has its default.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// Tasks whose code runs side by side.
    pub concurrency: Option<NonZeroU32>,
    /// Tasks of one connection that run side by side.
    pub per_connection: Option<NonZeroU32>,
    /// Wall time of one dispatch.
    pub max_time: Option<Duration>,
    /// Outbound requests of one dispatch.
    pub max_requests: Option<NonZeroU32>,
    /// How often a task is tried before it becomes a dead letter.
    pub max_attempts: Option<NonZeroU32>,
    /// Requests a second that an API key may make; it may save up four seconds of them. None: as many as it likes.
    pub key_requests: Option<NonZeroU32>,
    /// Requests a second that a user's sessions may make together; they may save up four seconds of them.
    pub session_requests: Option<NonZeroU32>,
    /// Maximum number of requests of an API key at once, without streams of changes.
    pub key_concurrency: Option<NonZeroU32>,
    /// Maximum number of requests of a user's sessions at once, without streams of changes.
    pub session_concurrency: Option<NonZeroU32>,
    /// Maximum number of streams of changes, and of requests that wait for a change, of an API key at once.
    pub key_streams: Option<NonZeroU32>,
    /// Maximum number of streams of changes, and of requests that wait for a change, of a user's sessions at once.
    pub session_streams: Option<NonZeroU32>,
    /// Maximum number of searches and lists of an API key that run at once; more of them wait.
    pub key_searches: Option<NonZeroU32>,
    /// Maximum number of searches and lists of a user's sessions that run at once; more of them wait.
    pub session_searches: Option<NonZeroU32>,
    /// Maximum number of webhooks of one URL at once.
    pub hook_concurrency: Option<NonZeroU32>,
    /// Maximum number of open connections. `None`: 1,024, or half of the files that the process may open if that is fewer.
    pub connections: Option<NonZeroU32>,
    /// Maximum time for the headers of a request.
    pub header_time: Option<Duration>,
    /// Maximum time for the body of a request that is neither an upload nor a webhook.
    pub body_time: Option<Duration>,
    /// Maximum time between two pieces of a body that comes, and in which a client takes nothing of its answer.
    pub stall_time: Option<Duration>,
    /// Maximum time that a connection stays open between two requests.
    pub idle_time: Option<Duration>,
    /// Maximum time to stop in: for requests under way, and then for tasks that run.
    pub shutdown_time: Option<Duration>,
    /// Maximum number of bytes in the files of one user that no note has.
    pub unused_file_bytes: Option<NonZeroU32>,
    /// Entries of the change feed that are kept.
    pub feed_entries: Option<NonZeroU32>,
    /// Largest body of a webhook in bytes, also of those whose connector declares a larger one. `None` means 1 MiB, or
    /// what the connector declares.
    pub max_webhook_body: Option<NonZeroU32>,
    /// How long a webhook may take to arrive.
    pub max_webhook_time: Option<Duration>,
    /// How long webhooks are kept, to be looked at and handed over again.
    pub keep_deliveries: Option<Duration>,
    /// How many of them are kept at most.
    pub max_deliveries: Option<NonZeroU32>,
    /// Maximum number of bytes in the bodies of those that are kept.
    pub max_delivery_bytes: Option<NonZeroU32>,
    /// Bytes of a file that a user uploads.
    pub max_file: Option<NonZeroU32>,
    /// Dispatches of one connection within the window, beyond which it is suspended.
    pub budget_dispatches: Option<NonZeroU32>,
    /// Outbound requests of one connection within the window, beyond which it is suspended.
    pub budget_requests: Option<NonZeroU32>,
    /// The window: an hour, if none.
    pub budget_window: Option<Duration>,
}

/// Everything that is wrong with the configuration, a line for each mistake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

/// Where settings come from.
#[derive(Debug, Default)]
pub struct Sources {
    /// The file that was named. None: [`DEFAULT_FILE`] in the current directory, if it is there.
    pub file: Option<PathBuf>,
    /// The environment. Variables that do not begin with `CONNECTORS_` are passed over.
    pub environment: Vec<(OsString, OsString)>,
    /// Settings that were given as flags, by their name in the file: `listen`.
    pub flags: Vec<(&'static str, String)>,
}

impl Config {
    /// Reads all sources. Every mistake is reported at once, with the file or variable and what is allowed.
    pub fn load(sources: Sources) -> Result<Self, ConfigError> {
        let mut loading = Loading::default();
        match &sources.file {
            Some(path) => loading.file(path),
            None if Path::new(DEFAULT_FILE).exists() => loading.file(Path::new(DEFAULT_FILE)),
            None => {}
        }
        loading.environment(sources.environment);
        for (name, value) in sources.flags {
            let origin = format!("--{}", name.replace('_', "-"));
            loading.set(name, &origin, Given::Text(value));
        }
        if loading.mistakes.is_empty() { Ok(loading.config) } else { Err(ConfigError(loading.mistakes)) }
    }

    /// What redirect and webhook URLs begin with: the public URL, or where the API listens.
    pub(crate) fn base_url(&self) -> Result<Url, ConfigError> {
        match &self.public_url {
            Some(url) => Ok(url.clone()),
            None => Url::parse(&format!("http://{}", self.listen)).map_err(|error| {
                ConfigError(vec![format!("`listen` is no address that a URL can have ({error}): set `public_url`")])
            }),
        }
    }

    /// Largest body in bytes of a webhook whose connector declares this one.
    pub(crate) fn max_webhook_body(&self, declared: Option<u32>) -> usize {
        let operator = self.limits.max_webhook_body.map(NonZeroU32::get);
        let most = match (operator, declared) {
            (Some(operator), Some(declared)) => operator.min(declared),
            (Some(most), None) | (None, Some(most)) => most.min(MAX_BODY),
            (None, None) => 1 << 20,
        };
        usize::try_from(most).unwrap_or(usize::MAX)
    }

    /// How long a webhook may take to arrive.
    pub(crate) fn max_webhook_time(&self) -> Duration {
        self.limits.max_webhook_time.unwrap_or(Duration::from_secs(10))
    }

    /// Maximum time for the body of a request to the API.
    pub(crate) fn body_time(&self) -> Duration {
        self.limits.body_time.unwrap_or(Duration::from_secs(30))
    }

    /// Maximum time between two pieces of a body.
    pub(crate) fn stall_time(&self) -> Duration {
        self.server().stall_time
    }

    /// Maximum number of bytes in the files of one user that no note has.
    pub(crate) fn unused_file_bytes(&self) -> u64 {
        self.limits.unused_file_bytes.map_or(256 << 20, |most| u64::from(most.get()))
    }

    /// The bounds of the HTTP server.
    pub(crate) fn server(&self) -> ServerLimits {
        let (limits, mut server) = (&self.limits, ServerLimits::default());
        let connections = limits.connections.and_then(|count| usize::try_from(count.get()).ok());
        server.connections = connections.unwrap_or(server.connections);
        server.header_time = limits.header_time.unwrap_or(server.header_time);
        server.idle_time = limits.idle_time.unwrap_or(server.idle_time);
        server.stall_time = limits.stall_time.unwrap_or(server.stall_time);
        server.shutdown_time = limits.shutdown_time.unwrap_or(server.shutdown_time);
        server
    }

    /// The settings that the runtime takes.
    pub(crate) fn runtime(&self) -> runtime::Config {
        let mut config = runtime::Config::default();
        let limits = &self.limits;
        let count = |value: Option<NonZeroU32>, default: usize| {
            value.and_then(|value| usize::try_from(value.get()).ok()).unwrap_or(default)
        };
        config.concurrency = count(limits.concurrency, config.concurrency);
        config.per_connection = count(limits.per_connection, config.per_connection);
        config.max_time = limits.max_time.unwrap_or(config.max_time);
        config.max_requests = limits.max_requests.map_or(config.max_requests, NonZeroU32::get);
        config.budget.window = limits.budget_window.unwrap_or(config.budget.window);
        config.budget.dispatches = limits.budget_dispatches.map(NonZeroU32::get);
        config.budget.requests = limits.budget_requests.map(NonZeroU32::get);
        config.max_attempts = limits.max_attempts.map_or(config.max_attempts, NonZeroU32::get);
        config.public_url = self.public_url.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned());
        config.keep_deliveries = limits.keep_deliveries.unwrap_or(config.keep_deliveries);
        config.max_deliveries = limits.max_deliveries.map_or(config.max_deliveries, |most| u64::from(most.get()));
        config.max_delivery_bytes =
            limits.max_delivery_bytes.map_or(config.max_delivery_bytes, |most| u64::from(most.get()));
        config.max_file = limits.max_file.map_or(config.max_file, |most| u64::from(most.get()));
        let secrets = self.providers.iter();
        config.webhook_secrets =
            secrets.filter_map(|(id, provider)| Some((id.clone(), provider.webhook_secret.clone()?))).collect();
        let clients = self.providers.iter();
        config.client_ids =
            clients.filter_map(|(id, provider)| Some((id.clone(), provider.client_id.clone()?))).collect();
        let urls = self.providers.iter();
        config.api_urls =
            urls.filter_map(|(id, provider)| Some((id.clone(), provider.api_url.as_ref()?.to_string()))).collect();
        config
    }
}

/// What a setting takes.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Secret,
    Path,
    Database,
    Url,
    Urls,
    Address,
    Bool,
    Count,
    Seconds,
    Durability,
    Log,
}

impl Kind {
    fn expected(self) -> &'static str {
        match self {
            Self::Text | Self::Secret => "a text",
            Self::Path => "the path of a file",
            Self::Database => "`sqlite:PATH`, such as `sqlite:connectors.db`",
            Self::Url => "a URL, such as `https://api.example.com`",
            Self::Urls => "a list of URLs, such as `[\"https://app.example.com/\"]`, or between commas in a variable",
            Self::Address => "an address and a port, such as `127.0.0.1:7300`",
            Self::Bool => "`true` or `false`",
            Self::Count => "a whole number from 1 to 4294967295",
            Self::Seconds => "a whole number of seconds, at least 1",
            Self::Durability => "`full` or `relaxed`",
            Self::Log => "`text` or `json`",
        }
    }
}

const SETTINGS: &[(&str, Kind)] = &[
    ("database", Kind::Database),
    ("durability", Kind::Durability),
    ("limits.body_time", Kind::Seconds),
    ("limits.budget_dispatches", Kind::Count),
    ("limits.budget_requests", Kind::Count),
    ("limits.budget_window", Kind::Seconds),
    ("limits.concurrency", Kind::Count),
    ("limits.connections", Kind::Count),
    ("limits.feed_entries", Kind::Count),
    ("limits.header_time", Kind::Seconds),
    ("limits.hook_concurrency", Kind::Count),
    ("limits.idle_time", Kind::Seconds),
    ("limits.keep_deliveries", Kind::Seconds),
    ("limits.key_concurrency", Kind::Count),
    ("limits.key_requests", Kind::Count),
    ("limits.key_searches", Kind::Count),
    ("limits.key_streams", Kind::Count),
    ("limits.max_attempts", Kind::Count),
    ("limits.max_deliveries", Kind::Count),
    ("limits.max_delivery_bytes", Kind::Count),
    ("limits.max_file", Kind::Count),
    ("limits.max_requests", Kind::Count),
    ("limits.max_time", Kind::Seconds),
    ("limits.max_webhook_body", Kind::Count),
    ("limits.max_webhook_time", Kind::Seconds),
    ("limits.per_connection", Kind::Count),
    ("limits.session_concurrency", Kind::Count),
    ("limits.session_requests", Kind::Count),
    ("limits.session_searches", Kind::Count),
    ("limits.session_streams", Kind::Count),
    ("limits.shutdown_time", Kind::Seconds),
    ("limits.stall_time", Kind::Seconds),
    ("limits.unused_file_bytes", Kind::Count),
    ("listen", Kind::Address),
    ("log", Kind::Log),
    ("network.allow_private", Kind::Bool),
    ("oauth.return_to", Kind::Urls),
    ("public_url", Kind::Url),
    ("secret_key", Kind::Secret),
    ("secret_key_file", Kind::Path),
];

const PROVIDER_SETTINGS: &[(&str, Kind)] = &[
    ("api_url", Kind::Url),
    ("authorize_url", Kind::Url),
    ("client_id", Kind::Text),
    ("client_secret", Kind::Secret),
    ("issuer", Kind::Url),
    ("revoke_url", Kind::Url),
    ("token_url", Kind::Url),
    ("webhook_secret", Kind::Secret),
];

/// A value as a source gives it.
enum Given {
    Text(String),
    Bool(bool),
    Integer(i64),
    List(Vec<String>),
    Other(&'static str),
}

/// A value of the kind that its setting takes.
enum Value {
    Text(String),
    Secret(Secret),
    Path(PathBuf),
    Url(Url),
    Urls(Vec<Url>),
    Bool(bool),
    Count(NonZeroU32),
    Seconds(Duration),
    Durability(Durability),
    Log(LogFormat),
}

impl Kind {
    /// The value; none if it is of another kind.
    fn read(self, given: Given) -> Option<Value> {
        let text = match (self, given) {
            (Self::Bool, Given::Bool(value)) => return Some(Value::Bool(value)),
            (Self::Count, Given::Integer(value)) => {
                return NonZeroU32::new(u32::try_from(value).ok()?).map(Value::Count);
            }
            (Self::Seconds, Given::Integer(value)) => return seconds(u64::try_from(value).ok()?),
            (Self::Urls, Given::List(texts)) => return urls(texts.iter().map(String::as_str)),
            (Self::Urls, Given::Text(text)) => {
                return urls(text.split(',').map(str::trim).filter(|url| !url.is_empty()));
            }
            (_, Given::Text(text)) if !text.is_empty() => text,
            _ => return None,
        };
        match self {
            Self::Text => Some(Value::Text(text)),
            Self::Secret => Some(Value::Secret(Secret::new(text))),
            Self::Path => Some(Value::Path(PathBuf::from(text))),
            Self::Database => {
                let path = text.strip_prefix("sqlite:")?;
                let path = path.strip_prefix("//").unwrap_or(path);
                (!path.is_empty()).then(|| Value::Path(PathBuf::from(path)))
            }
            Self::Url => web_url(&text).map(Value::Url),
            Self::Urls => None,
            Self::Address => {
                let (host, port) = text.rsplit_once(':')?;
                port.parse::<u16>().ok()?;
                (!host.is_empty()).then_some(Value::Text(text))
            }
            Self::Bool => text.parse().ok().map(Value::Bool),
            Self::Count => text.parse().ok().map(Value::Count),
            Self::Seconds => seconds(text.parse().ok()?),
            Self::Durability => match text.as_str() {
                "full" => Some(Value::Durability(Durability::Full)),
                "relaxed" => Some(Value::Durability(Durability::Relaxed)),
                _ => None,
            },
            Self::Log => match text.as_str() {
                "text" => Some(Value::Log(LogFormat::Text)),
                "json" => Some(Value::Log(LogFormat::Json)),
                _ => None,
            },
        }
    }
}

fn web_url(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

fn urls<'a>(texts: impl Iterator<Item = &'a str>) -> Option<Value> {
    texts.map(web_url).collect::<Option<_>>().map(Value::Urls)
}

fn seconds(value: u64) -> Option<Value> {
    (value > 0).then_some(Value::Seconds(Duration::from_secs(value)))
}

#[derive(Default)]
struct Loading {
    config: Config,
    mistakes: Vec<String>,
}

impl Loading {
    fn file(&mut self, path: &Path) {
        let origin = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                self.mistakes.push(format!("{origin} cannot be read: {error}"));
                return;
            }
        };
        match text.parse::<toml::Table>() {
            Ok(table) => self.table("", &origin, table),
            Err(error) => {
                let line =
                    error.span().map(|span| 1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count());
                let line = line.map(|line| format!(", line {line}")).unwrap_or_default();
                self.mistakes.push(format!("{origin}{line} is not TOML: {}", error.message()));
            }
        }
    }

    fn table(&mut self, prefix: &str, origin: &str, table: toml::Table) {
        for (key, value) in table {
            let name = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
            let given = match value {
                // A table that has no settings in it is a mistake of its own.
                toml::Value::Table(table) if !table.is_empty() || kind_of(&name).is_none() => {
                    if is_section(&name) {
                        self.table(&name, origin, table);
                    } else {
                        self.unknown(&name, origin);
                    }
                    continue;
                }
                toml::Value::String(text) => Given::Text(text),
                toml::Value::Boolean(value) => Given::Bool(value),
                toml::Value::Integer(value) => Given::Integer(value),
                toml::Value::Array(values) => {
                    let texts: Option<_> = values.iter().map(|value| value.as_str().map(str::to_owned)).collect();
                    texts.map_or(Given::Other("array"), Given::List)
                }
                other => Given::Other(other.type_str()),
            };
            self.set(&name, origin, given);
        }
    }

    fn environment(&mut self, variables: Vec<(OsString, OsString)>) {
        let mut variables: Vec<_> = variables
            .into_iter()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| name.starts_with(PREFIX))
            .collect();
        // The order of an environment is that of no one's choosing.
        variables.sort();
        for (variable, value) in variables {
            if OTHER_VARIABLES.contains(&variable.as_str()) && variable != "CONNECTORS_API_KEY" {
                continue;
            }
            let Ok(value) = value.into_string() else {
                self.mistakes.push(format!("{variable} is not text in UTF-8"));
                continue;
            };
            if variable == "CONNECTORS_API_KEY" {
                self.config.api_key = Some(Secret::new(value)).filter(|key| !key.expose().is_empty());
                continue;
            }
            let name = variable.trim_start_matches(PREFIX).to_lowercase().replace("__", ".");
            self.set(&name, &variable, Given::Text(value));
        }
    }

    fn unknown(&mut self, name: &str, origin: &str) {
        let known = match name.rsplit_once('.') {
            Some((section, _)) if section.starts_with("providers.") => {
                let fields = PROVIDER_SETTINGS.iter().map(|(field, _)| format!("{section}.{field}"));
                fields.collect::<Vec<_>>()
            }
            _ => {
                let known = SETTINGS.iter().map(|(known, _)| (*known).to_owned());
                known.chain(["providers.ID.…".to_owned()]).collect()
            }
        };
        self.mistakes.push(format!("{origin}: there is no setting `{name}`: there are {}", known.join(", ")));
    }

    fn set(&mut self, name: &str, origin: &str, given: Given) {
        let Some(kind) = kind_of(name) else {
            self.unknown(name, origin);
            return;
        };
        let found = match &given {
            // A secret that is wrong is a secret all the same.
            Given::Text(_) if matches!(kind, Kind::Secret) => String::new(),
            Given::Text(text) => format!(", not `{text}`"),
            Given::Bool(value) => format!(", not `{value}`"),
            Given::Integer(value) => format!(", not `{value}`"),
            Given::List(texts) => format!(", not `{}`", texts.join(", ")),
            Given::Other(kind) => format!(", not a value of type {kind}"),
        };
        match kind.read(given) {
            Some(value) => self.put(name, value),
            None => self.mistakes.push(format!("{origin}: `{name}` takes {}{found}", kind.expected())),
        }
    }

    fn put(&mut self, name: &str, value: Value) {
        let config = &mut self.config;
        if let Some((id, field)) = provider_setting(name) {
            // Ids are in kebab-case, which no variable can be.
            let provider = config.providers.entry(id.replace('_', "-")).or_default();
            match (field, value) {
                ("client_id", Value::Text(text)) => provider.client_id = Some(text),
                ("client_secret", Value::Secret(secret)) => provider.client_secret = Some(secret),
                ("webhook_secret", Value::Secret(secret)) => provider.webhook_secret = Some(secret),
                ("authorize_url", Value::Url(url)) => provider.authorize_url = Some(url),
                ("token_url", Value::Url(url)) => provider.token_url = Some(url),
                ("revoke_url", Value::Url(url)) => provider.revoke_url = Some(url),
                ("issuer", Value::Url(url)) => provider.issuer = Some(url),
                ("api_url", Value::Url(url)) => provider.api_url = Some(url),
                _ => {}
            }
            return;
        }
        match (name, value) {
            ("database", Value::Path(path)) => config.database = path,
            ("durability", Value::Durability(durability)) => config.durability = durability,
            ("listen", Value::Text(address)) => config.listen = address,
            ("public_url", Value::Url(url)) => config.public_url = Some(url),
            // Whichever comes from the source that goes before.
            ("secret_key", Value::Secret(key)) => config.secret_key = Some(key),
            ("secret_key_file", Value::Path(path)) => {
                config.secret_key = None;
                config.secret_key_file = Some(path);
            }
            ("oauth.return_to", Value::Urls(urls)) => config.return_to = urls,
            ("network.allow_private", Value::Bool(allow)) => config.allow_private = allow,
            ("limits.budget_dispatches", Value::Count(count)) => config.limits.budget_dispatches = Some(count),
            ("limits.budget_requests", Value::Count(count)) => config.limits.budget_requests = Some(count),
            ("limits.budget_window", Value::Seconds(time)) => config.limits.budget_window = Some(time),
            ("limits.concurrency", Value::Count(count)) => config.limits.concurrency = Some(count),
            ("limits.per_connection", Value::Count(count)) => config.limits.per_connection = Some(count),
            ("limits.max_time", Value::Seconds(time)) => config.limits.max_time = Some(time),
            ("limits.max_requests", Value::Count(count)) => config.limits.max_requests = Some(count),
            ("limits.max_attempts", Value::Count(count)) => config.limits.max_attempts = Some(count),
            ("limits.key_requests", Value::Count(count)) => config.limits.key_requests = Some(count),
            ("limits.session_requests", Value::Count(count)) => config.limits.session_requests = Some(count),
            ("limits.feed_entries", Value::Count(count)) => config.limits.feed_entries = Some(count),
            ("log", Value::Log(format)) => config.log = format,
            ("limits.max_webhook_body", Value::Count(bytes)) => config.limits.max_webhook_body = Some(bytes),
            ("limits.max_webhook_time", Value::Seconds(time)) => config.limits.max_webhook_time = Some(time),
            ("limits.keep_deliveries", Value::Seconds(time)) => config.limits.keep_deliveries = Some(time),
            ("limits.max_file", Value::Count(bytes)) => config.limits.max_file = Some(bytes),
            ("limits.key_concurrency", Value::Count(count)) => config.limits.key_concurrency = Some(count),
            ("limits.session_concurrency", Value::Count(count)) => config.limits.session_concurrency = Some(count),
            ("limits.key_streams", Value::Count(count)) => config.limits.key_streams = Some(count),
            ("limits.session_streams", Value::Count(count)) => config.limits.session_streams = Some(count),
            ("limits.key_searches", Value::Count(count)) => config.limits.key_searches = Some(count),
            ("limits.session_searches", Value::Count(count)) => config.limits.session_searches = Some(count),
            ("limits.hook_concurrency", Value::Count(count)) => config.limits.hook_concurrency = Some(count),
            ("limits.connections", Value::Count(count)) => config.limits.connections = Some(count),
            ("limits.header_time", Value::Seconds(time)) => config.limits.header_time = Some(time),
            ("limits.body_time", Value::Seconds(time)) => config.limits.body_time = Some(time),
            ("limits.stall_time", Value::Seconds(time)) => config.limits.stall_time = Some(time),
            ("limits.idle_time", Value::Seconds(time)) => config.limits.idle_time = Some(time),
            ("limits.shutdown_time", Value::Seconds(time)) => config.limits.shutdown_time = Some(time),
            ("limits.unused_file_bytes", Value::Count(count)) => config.limits.unused_file_bytes = Some(count),
            ("limits.max_delivery_bytes", Value::Count(count)) => config.limits.max_delivery_bytes = Some(count),
            ("limits.max_deliveries", Value::Count(count)) => config.limits.max_deliveries = Some(count),
            _ => {}
        }
    }
}

/// A provider's id and the setting of it that a name means.
fn provider_setting(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix("providers.")?.split_once('.').filter(|(id, _)| !id.is_empty())
}

fn kind_of(name: &str) -> Option<Kind> {
    let (settings, name) = match provider_setting(name) {
        Some((_, field)) => (PROVIDER_SETTINGS, field),
        None => (SETTINGS, name),
    };
    settings.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

fn is_section(name: &str) -> bool {
    matches!(name, "limits" | "network" | "oauth" | "providers")
        || name.strip_prefix("providers.").is_some_and(|id| !id.contains('.'))
}

#[cfg(test)]
mod tests;
