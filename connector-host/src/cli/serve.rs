use connector_core::registry::Registry;
use tokio::net::TcpListener;

use super::output::{self, Output};
use super::{CliError, Done};
use crate::config::Config;
use crate::host::{Host, HostError};

/// Serves until the process is told to end.
pub(super) async fn serve(config: Config, registry: Registry, output: Output) -> Done {
    let address = config.listen.clone();
    let host = Host::open(config, registry).await?;
    let served = run(&host, address, output).await;
    let closed = host.shutdown().await.map_err(CliError::from);
    served.and(closed)
}

async fn run(host: &Host, address: String, output: Output) -> Done {
    let listener = TcpListener::bind(&address).await.map_err(|reason| HostError::Listen { address, reason })?;
    let address = listener.local_addr().map_err(CliError::failed)?;
    host.start().await?;
    let connectors = host.runtime().registry().len();
    tracing::info!(%address, connectors, database = %host.config().database.display(), "serving");
    if output.json {
        output::text(&serde_json::json!({"listening": format!("http://{address}")}).to_string())?;
    } else {
        output::text(&format!("Listening on http://{address}"))?;
    }
    host.serve(listener, stop_signal()).await?;
    tracing::info!("stopping: what runs may end");
    Ok(())
}

/// Comes back when the process is told to end. The second time, it ends at once.
pub(super) async fn stop_signal() {
    wait_for_signal().await;
    tokio::spawn(async {
        wait_for_signal().await;
        std::process::exit(1);
    });
}

#[cfg(unix)]
async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!("signals cannot be received, so the process does not end in order: {error}");
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(not(unix))]
async fn wait_for_signal() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::error!("signals cannot be received, so the process does not end in order: {error}");
        std::future::pending::<()>().await;
    }
}
