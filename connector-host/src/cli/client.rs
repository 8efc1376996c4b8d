//! Requests of commands to the API: over HTTP to the process that has the database open, or in this one.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use connector_core::engine::EngineError;
use connector_core::registry::Registry;
use http::{Method, StatusCode, header};
use serde_json::Value;
use tower::ServiceExt;
use url::Url;

use super::{CliError, upload};
use crate::config::Config;
use crate::engine::SqliteEngine;
use crate::host::{Host, HostError, LOCK_KEY, LOCK_URL};

/// Largest answer of the API, in bytes.
const MAX_ANSWER: usize = 256 * 1024 * 1024;

/// Things in a page of a list that is read whole.
const PAGE: &str = "500";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the process that has the database open is asked for, while it is about to begin or to end.
const TRIES: usize = 10;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// Where requests go.
pub(super) enum Client {
    /// The process that has the database open.
    Remote { http: reqwest::Client, base: Url, key: String },
    /// This one.
    Here { host: Host, router: Router },
}

/// Serves as long as it is held.
pub(super) struct Callback(tokio::task::JoinHandle<std::io::Result<()>>);

impl Drop for Callback {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Client {
    /// Finds the process that serves the database, or opens it here; with workers if the command is
    /// for something that they do.
    pub(super) async fn open(config: Config, registry: Registry, workers: bool) -> Result<Self, CliError> {
        let mut tries = TRIES;
        loop {
            if let Some(client) = Self::remote(&config)? {
                return Ok(client);
            }
            match Host::open(config.clone(), registry.clone()).await {
                Ok(host) => {
                    if workers && let Err(error) = host.start().await {
                        host.shutdown().await?;
                        return Err(error.into());
                    }
                    let router = host.router();
                    return Ok(Self::Here { host, router });
                }
                // It is about to serve, or another command that is about to end.
                Err(HostError::Engine(EngineError::InUse { .. })) if tries > 0 => {
                    tries -= 1;
                    tokio::time::sleep(BETWEEN_TRIES).await;
                }
                Err(HostError::Engine(EngineError::InUse { database, holder })) => {
                    return Err(CliError::Failed(format!(
                        "{database} is in use by another command{holder}: try again when it has ended, or run `connectors serve`, which any number of commands can talk to"
                    )));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn remote(config: &Config) -> Result<Option<Self>, CliError> {
        let Some(info) = SqliteEngine::holder_info(&config.database) else {
            return Ok(None);
        };
        let mut info: HashMap<_, _> = info.into_iter().collect();
        let (Some(url), Some(key)) = (info.remove(LOCK_URL), info.remove(LOCK_KEY)) else {
            return Ok(None);
        };
        let base = Url::parse(&url).map_err(|error| {
            CliError::Failed(format!("the lock file of the database says that the API is at `{url}`: {error}"))
        })?;
        // It is on this machine, and needs neither proxy nor certificates.
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).connect_timeout(CONNECT_TIMEOUT);
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // The error is that another thread was faster, which is as good.
            rustls::crypto::ring::default_provider().install_default().ok();
        }
        let http = http.build().map_err(CliError::failed)?;
        Ok(Some(Self::Remote { http, base, key }))
    }

    /// Lets users come back to this process, if no other serves the API.
    pub(super) async fn serve_callback(&self, wanted: bool) -> Result<Option<Callback>, CliError> {
        let Self::Here { host, router } = self else { return Ok(None) };
        if !wanted {
            return Ok(None);
        }
        let address = host.config().listen.clone();
        let listener = tokio::net::TcpListener::bind(&address).await.map_err(|error| {
            CliError::Failed(format!("cannot listen on {address}, where users come back to: {error}"))
        })?;
        let router = router.clone();
        Ok(Some(Callback(tokio::spawn(async move { axum::serve(listener, router).await }))))
    }

    /// Lets what runs here end.
    pub(super) async fn close(self) -> Result<(), CliError> {
        match self {
            Self::Remote { .. } => Ok(()),
            Self::Here { host, .. } => Ok(host.shutdown().await?),
        }
    }

    pub(super) async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, CliError> {
        self.request(Method::GET, path, query, None).await
    }

    pub(super) async fn post(&self, path: &[&str], body: Value) -> Result<Value, CliError> {
        self.request(Method::POST, path, &[], Some(body)).await
    }

    /// A list that is one page.
    pub(super) async fn list_whole(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Vec<Value>, CliError> {
        let mut page = self.get(path, query).await?;
        match page.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => Ok(Vec::new()),
        }
    }

    /// All things of a list, or the first `limit`.
    pub(super) async fn list(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        limit: Option<usize>,
    ) -> Result<Vec<Value>, CliError> {
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut query = query.to_vec();
            query.push(("limit", PAGE));
            query.extend(after.as_deref().map(|after| ("after", after)));
            let mut page = self.get(path, &query).await?;
            if let Some(Value::Array(items)) = page.get_mut("items").map(Value::take) {
                all.extend(items);
            }
            after = page.get("next").and_then(Value::as_str).map(str::to_owned);
            if let Some(limit) = limit
                && all.len() >= limit
            {
                all.truncate(limit);
                return Ok(all);
            }
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    /// Makes a request and gives back the body of the answer; null if it has none.
    pub(super) async fn request(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<Value>,
    ) -> Result<Value, CliError> {
        let body = match body {
            Some(body) => serde_json::to_vec(&body).map_err(CliError::failed)?,
            None => Vec::new(),
        };
        self.send(method, path, query, "application/json", Body::from(body)).await
    }

    /// Uploads a file of this machine, which is read while it is sent; what the API says of it.
    pub(super) async fn upload(&self, path: &Path, user: &str) -> Result<Value, CliError> {
        let (media_type, body) = upload::form(path, user).await?;
        self.send(Method::POST, &["files"], &[], &media_type, body).await
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        media_type: &str,
        body: Body,
    ) -> Result<Value, CliError> {
        let base = match self {
            Self::Remote { base, .. } => base.clone(),
            Self::Here { .. } => Url::parse("http://localhost").map_err(CliError::failed)?,
        };
        let url = address(base, path, query);
        let (status, bytes) = match self {
            Self::Remote { http, key, .. } => {
                let request = http
                    .request(method, url)
                    .bearer_auth(key)
                    .header(header::CONTENT_TYPE, media_type)
                    .body(reqwest::Body::wrap_stream(body.into_data_stream()));
                let response = request.send().await.map_err(|error| unreachable(&error))?;
                let status = response.status();
                (status, response.bytes().await.map_err(|error| unreachable(&error))?)
            }
            Self::Here { host, router } => {
                let target = match url.query() {
                    Some(query) => format!("{}?{query}", url.path()),
                    None => url.path().to_owned(),
                };
                let request = http::Request::builder()
                    .method(method)
                    .uri(target)
                    .header(header::AUTHORIZATION, format!("Bearer {}", host.local_key().expose()))
                    .header(header::CONTENT_TYPE, media_type)
                    .body(body)
                    .map_err(CliError::failed)?;
                let response = router.clone().oneshot(request).await.map_err(CliError::failed)?;
                let status = response.status();
                (status, axum::body::to_bytes(response.into_body(), MAX_ANSWER).await.map_err(CliError::failed)?)
            }
        };
        answer(status, &bytes)
    }
}

/// The address of a thing; each part of the path is one segment, whatever characters it has.
fn address(mut base: Url, path: &[&str], query: &[(&str, &str)]) -> Url {
    // Fails for URLs that have no path alone, which this is not.
    if let Ok(mut segments) = base.path_segments_mut() {
        segments.pop_if_empty().extend(["api", "v1"]).extend(path);
    }
    if !query.is_empty() {
        base.query_pairs_mut().extend_pairs(query);
    }
    base
}

fn unreachable(error: &reqwest::Error) -> CliError {
    let mut reason = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        reason = error.to_string();
        cause = error.source();
    }
    CliError::Failed(format!("the process that has the database open does not answer: {reason}"))
}

/// The body of an answer, or what the problem is that it tells of.
fn answer(status: StatusCode, bytes: &[u8]) -> Result<Value, CliError> {
    let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(bytes).unwrap_or_default() };
    if status.is_success() {
        return Ok(body);
    }
    let detail = body.get("detail").and_then(Value::as_str);
    let mut message = detail.map_or_else(|| format!("the API answered {status}"), str::to_owned);
    if let Some(errors) = body.get("errors").and_then(Value::as_object).filter(|errors| errors.len() > 1) {
        for (field, mistake) in errors {
            message.push_str(&format!("\n  {field}: {}", mistake.as_str().unwrap_or_default()));
        }
    }
    Err(CliError::Failed(message))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::net::TcpListener;
    use tokio::sync::oneshot;

    use super::*;

    fn config(name: &str) -> Config {
        let name = format!("connectors-client-{}-{name}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).expect("a directory");
        Config { database: directory.join("test.db"), ..Config::default() }
    }

    fn clear(config: &Config) {
        let directory = config.database.parent().expect("a directory");
        std::fs::remove_dir_all(directory).expect("the directory goes");
    }

    /// Design 6.1: a command talks to the process that serves the database, or opens it itself.
    #[tokio::test]
    async fn requests_go_to_whoever_has_the_database_open() {
        let config = config("both");
        let open = || Client::open(config.clone(), Registry::default(), false);
        let here = open().await.expect("nobody has it open");
        assert!(matches!(here, Client::Here { .. }));
        let key = here.post(&["keys"], json!({"name": "a.b"})).await.expect("a key");
        assert_eq!(key["name"], "a.b");
        let error = open().await.err().expect("one command at a time").to_string();
        let path = config.database.with_file_name("räport \"1\".bin");
        std::fs::write(&path, vec![7; 200_000]).expect("a file");
        let uploaded = json!({"name": "räport \"1\".bin", "type": "application/octet-stream", "size": 200_000});
        let about = |mut file: Value| {
            let id = file.as_object_mut().and_then(|file| file.remove("id"));
            assert!(id.is_some_and(|id| id.as_str().is_some_and(|id| id.starts_with("fil_"))));
            file
        };
        assert_eq!(about(here.upload(&path, "ada").await.expect("it is stored")), uploaded);
        let directory = here.upload(&std::env::temp_dir(), "ada").await.expect_err("no file").to_string();
        assert!(directory.contains("is no file"), "{directory}");
        let missing = here.upload(&path.with_extension("none"), "ada").await.expect_err("not there").to_string();
        assert!(missing.contains("none cannot be read"), "{missing}");
        let pid = std::process::id();
        assert!(error.contains(&format!("in use by another command (pid {pid})")), "{error}");
        here.close().await.expect("an end in order");

        let host = Host::open(config.clone(), Registry::default()).await.expect("a host");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn({
            let host = host.clone();
            async move {
                let stopped = async { stopped.await.unwrap_or_default() };
                host.serve(listener, stopped).await
            }
        });
        let there = open().await.expect("it is served");
        assert!(matches!(there, Client::Remote { .. }));
        assert_eq!(about(there.upload(&path, "ada").await.expect("it is stored")), uploaded);
        let keys = there.list_whole(&["keys"], &[]).await.expect("the keys");
        assert_eq!(keys[0]["name"], "a.b");
        let refused = there.get(&["threads", "x/../../keys"], &[("user", "a&b")]).await;
        let refused = refused.expect_err("one segment is one segment").to_string();
        assert!(refused.contains("`x/../../keys` is not a thread id"), "{refused}");
        there.close().await.expect("an end in order");
        stop.send(()).expect("it serves");
        serving.await.expect("no panic").expect("an end in order");
        host.shutdown().await.expect("an end in order");
        clear(&config);
    }
}
