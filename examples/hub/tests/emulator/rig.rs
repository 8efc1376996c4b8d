//! An emulator of the test's own, and the binary on a database of its own.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use connector_test_support::secrets;
use serde_json::{Value, json};

use crate::http::{self, Response};

/// The API key that the served API takes.
pub(crate) const KEY: &str = "a-key-for-tests-that-is-long-enough";

/// A look-alike of a service.
pub(crate) struct Emulator {
    process: Child,
    variables: HashMap<String, String>,
}

impl Emulator {
    /// A GitHub of the test's own, with all of its issues; none where there is nothing to start it with.
    pub(crate) fn start() -> Option<Self> {
        Self::of("github")
    }

    /// The same of another service.
    pub(crate) fn of(service: &str) -> Option<Self> {
        let Ok(launch) = std::env::var("CONNECTOR_EMULATOR_LAUNCH") else {
            println!("skipped: CONNECTOR_EMULATOR_LAUNCH is not set; `cargo xtask test` sets it");
            return None;
        };
        let launch: Vec<String> = serde_json::from_str(&launch).expect("a JSON array");
        let (program, arguments) = launch.split_first().expect("a command");
        let process = Command::new(program)
            .args(arguments)
            .args(["--services", service])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the emulator");
        // From here on it is stopped when the test fails.
        let mut emulator = Self { process, variables: HashMap::new() };
        for line in BufReader::new(emulator.process.stdout.take().expect("its output")).lines() {
            let line = line.expect("a line");
            if line == "READY=1" {
                return Some(emulator);
            }
            if let Some((name, value)) = line.split_once('=') {
                secrets::know_variable(name, value);
                emulator.variables.insert(name.to_owned(), value.to_owned());
            }
        }
        panic!("the emulator ended before it was ready");
    }

    pub(crate) fn variable(&self, name: &str) -> &str {
        &self.variables[name]
    }

    pub(crate) fn api(&self) -> &str {
        self.variable("GITHUB_API_URL")
    }

    pub(crate) fn token(&self) -> &str {
        self.variable("GITHUB_TOKEN")
    }

    /// A request to the API.
    pub(crate) fn github(&self, method: &str, path: &str, body: Option<&Value>) -> Response {
        http::send(method, &format!("{}{path}", self.api()), self.token(), body).expect("the emulator answers")
    }

    /// All items of a list, page by page.
    pub(crate) fn all(&self, path: &str) -> Vec<Value> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let mut all = Vec::new();
        for page in 1.. {
            let response = self.github("GET", &format!("{path}{separator}per_page=100&page={page}"), None);
            assert_eq!(response.status, 200, "{path}");
            let items = response.json().as_array().cloned().expect("a list");
            let count = items.len();
            all.extend(items);
            if count < 100 {
                break;
            }
        }
        all
    }

    /// A request to the control endpoint.
    pub(crate) fn control(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.variable("EMU_CONTROL_URL"));
        let response = http::send("POST", &url, "", Some(body)).expect("the control endpoint answers");
        assert_eq!(response.status, 200, "{path}: {}", String::from_utf8_lossy(&response.body));
        response.json()
    }

    /// Lets requests of the next hour through: the service refuses the 5001st of one.
    pub(crate) fn next_hour(&self) {
        self.control("/clock", &json!({ "advance_s": 3601 }));
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.process.kill().and_then(|()| self.process.wait().map(drop)).expect("the emulator ends");
    }
}

/// The binary, on a database of its own.
pub(crate) struct Hub {
    pub(crate) folder: PathBuf,
    environment: Vec<(String, String)>,
    port: u16,
    // The last to be dropped: what was logged is read before.
    _watch: secrets::Watch,
}

impl Hub {
    pub(crate) fn new(name: &str, api_url: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port();
        let environment = [
            ("CONNECTORS_DATABASE".to_owned(), format!("sqlite:{}", folder.join("hub.db").display())),
            ("CONNECTORS_PROVIDERS__GITHUB__API_URL".to_owned(), api_url.to_owned()),
            ("CONNECTORS_NETWORK__ALLOW_PRIVATE".to_owned(), "true".to_owned()),
            ("CONNECTORS_LISTEN".to_owned(), format!("127.0.0.1:{port}")),
            ("CONNECTORS_API_KEY".to_owned(), KEY.to_owned()),
            ("RUST_LOG".to_owned(), "trace".to_owned()),
        ];
        let watch = secrets::Watch::start();
        secrets::know([KEY]);
        Self { folder, environment: environment.into(), port, _watch: watch }
    }

    /// With another environment variable.
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        let value = value.into();
        secrets::know_variable(name, &value);
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value));
        self
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_connectors"));
        command.args(arguments).current_dir(&self.folder).envs(self.environment.iter().cloned()).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().expect("the binary runs");
        secrets::saw(&output.stdout);
        secrets::saw(&output.stderr);
        output
    }

    /// Where the server listens.
    pub(crate) fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Runs a command that has to succeed, and gives back what it printed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "connectors {arguments:?}: {}\n{out}\n{err}", output.status);
        out.into_owned()
    }

    /// The same with `--json`.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let text = self.ok(&[arguments, &["--json"]].concat());
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("connectors {arguments:?} printed no JSON ({error}): {text}"))
    }

    /// Runs a command that has to fail, and gives back its exit code and what it complained of.
    pub(crate) fn fails(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments);
        assert!(
            !output.status.success(),
            "connectors {arguments:?} succeeded: {}",
            String::from_utf8_lossy(&output.stdout)
        );
        // The log is there too, whose lines begin with the time.
        let printed = String::from_utf8_lossy(&output.stderr);
        let complaint: Vec<_> = printed.lines().filter(|line| !line.starts_with("20")).collect();
        (output.status.code().unwrap_or(-1), complaint.join("\n"))
    }

    /// Makes a connection, and gives back its id.
    pub(crate) fn connect(&self, emulator: &Emulator) -> String {
        let made = self.json(&["connect", "github", "--user", "ada", "--token", emulator.token()]);
        made["id"].as_str().expect("an id").to_owned()
    }

    /// Serves until it is killed.
    pub(crate) fn serve(&self) -> Served {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("serve.log"))
            .expect("a log file");
        let process = self.command(&["serve"]).stdout(Stdio::null()).stderr(log).spawn().expect("the binary runs");
        let mut served = Served { process, base: self.base() };
        loop {
            if http::send("GET", &format!("{}/readyz", served.base), KEY, None)
                .is_ok_and(|response| response.status == 200)
            {
                return served;
            }
            if let Some(status) = served.process.try_wait().expect("its state") {
                let log = std::fs::read_to_string(self.folder.join("serve.log")).unwrap_or_default();
                panic!("the server ended ({status}):\n{log}");
            }
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            secrets::know_keys_in(&self.folder);
            if let Ok(mut log) = std::fs::File::open(self.folder.join("serve.log")) {
                let mut piece = vec![0; 1 << 20];
                while let Ok(read @ 1..) = log.read(&mut piece) {
                    secrets::saw_piece(&piece[..read]);
                }
            }
            std::fs::remove_dir_all(&self.folder).expect("the folder is removed");
        }
    }
}

/// A running server.
pub(crate) struct Served {
    process: Child,
    pub(crate) base: String,
}

impl Served {
    pub(crate) fn try_api(&self, method: &str, path: &str, body: Option<&Value>) -> std::io::Result<Response> {
        let response = http::send(method, &format!("{}/api/v1{path}", self.base), KEY, body)?;
        secrets::saw(&response.body);
        Ok(response)
    }

    pub(crate) fn api(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let response = self.try_api(method, path, body).expect("the server answers");
        assert!(
            response.status < 300,
            "{method} {path}: {} {}",
            response.status,
            String::from_utf8_lossy(&response.body)
        );
        if response.body.is_empty() { Value::Null } else { response.json() }
    }

    /// All items of a paged list.
    pub(crate) fn all(&self, path: &str) -> Vec<Value> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.api("GET", &format!("{path}{separator}limit=100{after}"), None);
            all.extend(page["items"].as_array().cloned().expect("items"));
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return all,
            }
        }
    }

    /// Kills it as an operating system does that has no memory left.
    pub(crate) fn kill(mut self) {
        self.process.kill().and_then(|()| self.process.wait().map(drop)).expect("the server is killed");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It has ended already where the test killed it.
        if let Ok(None) = self.process.try_wait() {
            self.process.kill().and_then(|()| self.process.wait().map(drop)).expect("the server is killed");
        }
    }
}
