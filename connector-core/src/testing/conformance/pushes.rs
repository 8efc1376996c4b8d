//! What the service pushes, on its way to the host: sent more than once, late, in the wrong order, and forged.

use jiff::{SignedDuration, Timestamp};

use super::dice::Dice;
use super::gate::Gate;
use super::life::{Difference, Kind};
use super::{ConformanceService, Push};
use crate::registry::RegisteredConnector;
use crate::runtime::{Hook, HookError};
use crate::testing::TestHost;
use crate::webhook::{Verify, WebhookRequest};

/// Where the service reaches the host.
pub(super) const PUBLIC_URL: &str = "https://host.conformance.test";

/// Less late than a signature with a time in it may be.
const LATEST_SECONDS: usize = 240;

/// Pushes of a life that are forged before they come.
const FORGED: usize = 4;

pub(super) struct Pushes {
    /// How often each is delivered.
    pub(super) copies: usize,
    /// The service keeps them back.
    pub(super) held: bool,
    /// How late they are.
    delays: Option<Dice>,
    on_the_way: Vec<(Timestamp, Push)>,
    forged: usize,
    /// What has come of them that must not.
    pub(super) failures: Vec<Difference>,
}

impl Pushes {
    pub(super) fn new() -> Self {
        Self { copies: 2, held: false, delays: None, on_the_way: Vec::new(), forged: 0, failures: Vec::new() }
    }

    /// Each copy is some minutes late from now on.
    pub(super) fn delay(&mut self, dice: Dice) {
        self.delays = Some(dice);
    }

    /// When the next one arrives that is on its way.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.on_the_way.iter().map(|(at, _)| *at).min().filter(|_| !self.held)
    }

    /// Delivers what arrives by now, the last first. False if there was nothing.
    pub(super) async fn deliver<S: ConformanceService>(
        &mut self,
        host: &TestHost,
        gate: &Gate<S>,
        connector: &RegisteredConnector,
    ) -> bool {
        if self.held {
            return false;
        }
        let now = host.clock().now();
        for push in gate.take_pushes() {
            for _ in 0..self.copies {
                let late = self.delays.as_mut().map_or(0, |dice| dice.roll(LATEST_SECONDS));
                let late = SignedDuration::from_secs(i64::try_from(late).unwrap_or(0));
                self.on_the_way.push((now + late, push.clone()));
            }
        }
        let (due, later) = std::mem::take(&mut self.on_the_way).into_iter().partition(|(at, _)| *at <= now);
        self.on_the_way = later;
        let due: Vec<(Timestamp, Push)> = due;
        let some = !due.is_empty();
        for (_, push) in due.into_iter().rev() {
            if let Some(url) = push.url.as_ref().filter(|url| !url.starts_with(PUBLIC_URL)) {
                self.failures.push((Kind::Push, format!("the service pushed to `{url}`, which is not of this host")));
                continue;
            }
            if self.forged < FORGED {
                self.forged += 1;
                self.forge(host, connector, &push).await;
            }
            match receive(host, connector, &push).await {
                Ok(()) | Err(HookError::Unknown | HookError::Disabled) => {}
                Err(HookError::Unverified(error)) => {
                    self.failures.push((Kind::Push, format!("what the service pushed was refused: {error}")));
                }
                // The host was killed meanwhile: the service sends it again.
                Err(_) => self.on_the_way.push((now, push)),
            }
        }
        some
    }

    /// Anyone can send these to the same endpoint.
    async fn forge(&mut self, host: &TestHost, connector: &RegisteredConnector, push: &Push) {
        let Ok(hook) = find(host, connector, push).await else { return };
        let Some(verify) = hook.declared().map(|declared| declared.verify) else { return };
        let unsigned = ("without its signature", Push { headers: Vec::new(), ..push.clone() });
        let changed = ("with another body", Push { body: [push.body.as_slice(), b" "].concat(), ..push.clone() });
        let emptied = ("with an empty body", Push { body: b"{}".to_vec(), ..push.clone() });
        let forgeries = match verify {
            Verify::HmacSha256 { .. } | Verify::Slack | Verify::StandardWebhooks | Verify::Timestamped { .. } => {
                vec![unsigned, changed]
            }
            Verify::StateHeader { .. } => vec![unsigned],
            Verify::Function { .. } if !push.headers.is_empty() => vec![unsigned],
            Verify::StateField { .. } | Verify::Function { .. } => vec![emptied],
            // The address is the proof, or there is none.
            Verify::SecretUrl | Verify::None { .. } => Vec::new(),
        };
        for (how, forged) in forgeries {
            if receive(host, connector, &forged).await.is_ok() {
                let what = format!("what the service had pushed was taken from anyone {how}");
                self.failures.push((Kind::Forged, what));
            }
        }
    }
}

async fn find(host: &TestHost, connector: &RegisteredConnector, push: &Push) -> Result<Hook, HookError> {
    let Some(url) = &push.url else { return host.runtime().find_app_hook(connector.declaration.id) };
    let token = url.strip_prefix(PUBLIC_URL).and_then(|path| path.strip_prefix("/hooks/"));
    host.runtime().find_hook(token.ok_or(HookError::Unknown)?).await
}

async fn receive(host: &TestHost, connector: &RegisteredConnector, push: &Push) -> Result<(), HookError> {
    let hook = find(host, connector, push).await?;
    let mut request = WebhookRequest::new("POST", push.body.clone(), host.clock().now());
    request.url = push.url.clone().unwrap_or_else(|| format!("{PUBLIC_URL}/hooks/app/{}", connector.declaration.id));
    for (name, value) in &push.headers {
        request = request.with_header(name, value.clone());
    }
    host.run(hook.receive(request)).await.map(drop)
}
