//! The command line (design 6.1). A program that links connectors is `fn main() { connector_host::cli::main() }`.
//!
//! Every command that needs a database makes requests to the API: over HTTP to the process that has
//! the database open, or else within this one.

mod accounts;
mod args;
mod calendar;
mod client;
mod hooks;
mod keys;
mod new;
mod output;
mod registry;
mod serve;
mod sync;
mod tasks;
mod threads;
mod upload;

use std::process::ExitCode;

use clap::Parser;
use connector_core::registry::Registry;
use tracing_subscriber::EnvFilter;

use serde_json::json;

use self::args::{Cli, Command, HooksCommand, TaskCommand};
use self::client::Client;
use self::output::Output;
use crate::config::{Config, LogFormat, Sources};
use crate::host::HostError;

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// It was asked wrongly: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// It was not done: exit code 1.
    #[error("{0}")]
    Failed(String),
    /// Nobody reads what is printed any more, which is no mistake.
    #[error("nobody reads the output")]
    Closed,
}

impl CliError {
    fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<HostError> for CliError {
    fn from(error: HostError) -> Self {
        match error {
            HostError::Config(error) => Self::Usage(error.to_string()),
            other => Self::failed(other),
        }
    }
}

/// What a command comes to.
type Done = Result<(), CliError>;

/// Runs the command that the arguments say, with the connectors that are linked into the program,
/// and gives back the exit code: 0 done, 1 failed, 2 wrong usage.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version are no mistakes.
        Err(answer) if !answer.use_stderr() => answer.exit(),
        // The mistake is shown as it was typed, or pasted.
        Err(mistake) => {
            output::complain(&mistake.to_string());
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(CliError::failed(error)),
    };
    let code = match runtime.block_on(run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(error),
    };
    // A read of the standard input that is still under way must not keep the process.
    runtime.shutdown_background();
    code
}

fn report(error: CliError) -> ExitCode {
    match error {
        CliError::Closed => ExitCode::SUCCESS,
        CliError::Usage(text) => {
            output::complain(&format!("error: {text}"));
            ExitCode::from(2)
        }
        CliError::Failed(text) => {
            output::complain(&format!("error: {text}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Done {
    let command = cli.serve.given_to(cli.command)?;
    let global = cli.global;
    let serves = matches!(command, Command::Serve(_));
    let log = |format| start_log(global.log.as_deref().unwrap_or(if serves { "info" } else { "warn" }), format);
    let registry = Registry::collect().map_err(CliError::failed)?;
    let output = Output { json: global.json };
    // These need neither a configuration nor a database.
    if matches!(command, Command::List | Command::Show { .. } | Command::Manifest { .. }) {
        log(LogFormat::Text)?;
    }
    match &command {
        Command::List => return registry::list(&registry, output),
        Command::Show { id } => return registry::show(&registry, id, output),
        Command::Manifest { check } => return registry::manifest(&registry, check.as_deref()),
        Command::New { name, path } => return new::create(name, path.as_deref(), output),
        _ => {}
    }
    let mut flags = Vec::new();
    flags.extend(global.database.map(|database| ("database", database)));
    if let Command::Serve(serve) = &command {
        flags.extend(serve.listen.clone().map(|listen| ("listen", listen)));
        flags.extend(serve.public_url.clone().map(|url| ("public_url", url)));
    }
    let sources = Sources { file: global.config, environment: std::env::vars_os().collect(), flags };
    let config = Config::load(sources).map_err(|error| CliError::Usage(error.to_string()))?;
    log(config.log)?;
    if serves {
        return serve::serve(config, registry, output).await;
    }
    let client = Client::open(config, registry.clone(), command.needs_workers()).await?;
    let done = tokio::select! {
        done = perform(&client, &registry, command, output) => done,
        () = serve::stop_signal() => Err(CliError::Failed("interrupted".to_owned())),
    };
    let closed = client.close().await;
    done.and(closed)
}

async fn perform(client: &Client, registry: &Registry, command: Command, output: Output) -> Done {
    match command {
        Command::Serve(_) | Command::List | Command::Show { .. } | Command::Manifest { .. } | Command::New { .. } => {
            Ok(())
        }
        Command::Connect(args) => accounts::connect(client, registry, args, output).await,
        Command::Connections { user } => accounts::connections(client, user.as_deref(), output).await,
        Command::Channels { connection } => accounts::channels(client, &connection, output).await,
        Command::Enable { connection, channels, observe_only } => {
            accounts::enable(client, &connection, &channels, observe_only, output).await
        }
        Command::Disable { connection, channels } => accounts::disable(client, &connection, &channels, output).await,
        Command::Disconnect { connection } => accounts::disconnect(client, &connection).await,
        Command::Resume { connection } => accounts::resume(client, &connection, output).await,
        Command::Work { connection } => accounts::work(client, &connection, output).await,
        Command::State { connection, prefix } => accounts::state(client, &connection, prefix.as_deref()).await,
        Command::Sync { connection, wait } => sync::sync(client, &connection, wait, output).await,
        Command::Threads(filter) => threads::list(client, &filter, output).await,
        Command::Thread { id, user } => threads::show(client, &id, user.as_deref(), output).await,
        Command::Reply(reply) => threads::reply(client, reply, output).await,
        Command::SetStatus(change) => threads::set_status(client, change, output).await,
        Command::Retry(undelivered) => threads::retry(client, undelivered, output).await,
        Command::Discard(undelivered) => threads::discard(client, &undelivered).await,
        Command::Agenda(agenda) => calendar::agenda(client, &agenda, output).await,
        Command::Event { command } => calendar::event(client, command, output).await,
        Command::Hooks { command: HooksCommand::List { connection, since, until, limit } } => {
            let asked = [("connection", connection), ("since", since), ("until", until)];
            hooks::list(client, &asked, limit, output).await
        }
        Command::Hooks { command: HooksCommand::Replay { id: Some(id), .. } } => {
            hooks::replay(client, &id, output).await
        }
        Command::Hooks { command: HooksCommand::Replay { id: None, since, until, connection } } => {
            hooks::replay_all(client, json!({"since": since, "until": until, "connection": connection}), output).await
        }
        Command::Tasks { dead, connection } => tasks::list(client, dead, connection.as_deref(), output).await,
        Command::Task { command: TaskCommand::Retry { id } } => tasks::retry(client, &id, output).await,
        Command::Task { command: TaskCommand::Discard { id } } => tasks::discard(client, &id).await,
        Command::Vault { command: args::VaultCommand::Rotate } => {
            let rotated = client.post(&["vault", "rotate"], serde_json::Value::Null).await?;
            output.print(&rotated, |rotated| {
                let count = output::field(rotated, "/resealed");
                format!("Sealed {count} anew, under the key {}", output::field(rotated, "/data_key"))
            })
        }
        Command::Key { command } => keys::run(client, command, output).await,
    }
}

/// Sends the log to the standard error output: what is printed there is for programs to read.
fn start_log(wanted: &str, format: LogFormat) -> Done {
    let filter = EnvFilter::builder()
        .parse(wanted)
        .map_err(|error| CliError::Usage(format!("`{wanted}` is no filter for the log: {error}")))?;
    let colored = format == LogFormat::Text && std::io::IsTerminal::is_terminal(&std::io::stderr());
    let writer = move || output::LogWriter::new(std::io::stderr(), colored);
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    // One that the embedding program set stays.
    let started = match format {
        LogFormat::Text => log.with_ansi(colored).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    if let Err(error) = started {
        tracing::debug!("the log goes where the program sends it: {error}");
    }
    Ok(())
}
