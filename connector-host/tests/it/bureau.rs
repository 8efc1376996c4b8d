//! A connector with what the desk has not: an account that is authorized, buttons, appointments, people, a hook, and
//! requests to a service that has nothing.

use std::sync::Mutex;

use axum::body::Body;
use connector_core::prelude::*;
use connector_core::webhook::VerifyError;
use connector_host::Config;
use connector_host::config::ProviderConfig;
use http::Request;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::ServiceExt;

use crate::desk::{Bench, second};

/// Proves that a push is the service's.
const PROOF: &str = "the proof of the bureau";

/// Affairs.
#[connector(
    id = "bureau",
    provider = GitHub,
    scopes = ["repo"],
    urls = ["https://api.github.com/*"],
    link_types = [Affair],
    multiple_instances,
)]
#[derive(Default)]
pub struct Bureau;

/// An affair.
#[link_type(
    label = "Affair",
    contact_roles(to(label = "To", default), cc(label = "Cc")),
    schedules,
    supports(contact_changes, schedule_changes),
    compose(status = Open),
)]
pub enum Affair {
    #[status(todo)]
    Open,
    #[status(done)]
    Closed,
}

/// Where the service was told to push.
static ENDPOINT: Mutex<Option<Endpoint>> = Mutex::new(None);

fn proof(request: &WebhookRequest, _: Option<&Secret>) -> std::result::Result<(), VerifyError> {
    match request.header("x-proof") {
        Some(PROOF) => Ok(()),
        _ => Err(VerifyError::Missing),
    }
}

#[connector]
impl Connector for Bureau {
    async fn get_account_identity(&self, cx: &Context<Self>, _: &Account) -> Result<Option<Actor>> {
        Ok(Some(Actor::new(format!("clerk-{}", cx.owner()))))
    }

    async fn get_channels(&self, _: &Context<Self>, _: &Account) -> Result<Vec<Channel>> {
        Ok(vec![Channel::new("affairs", "Affairs"), Channel::new("far", "Far away")])
    }

    async fn on_create_link(&self, _: &Context<Self>, draft: LinkDraft) -> Result<Option<NewLink>> {
        Err(Error::rejected(format!("no affair is called {}", draft.title)))
    }

    async fn on_link_updated(&self, _: &Context<Self>, _: &Link, _: &LinkChanges) -> Result<()> {
        Ok(())
    }

    async fn on_contacts_changed(&self, _: &Context<Self>, _: &Thread, _: &ContactChanges) -> Result<()> {
        Ok(())
    }

    async fn on_schedule_contact_updated(
        &self,
        _: &Context<Self>,
        _: &Thread,
        _: &Schedule,
        _: &Contact,
        _: Option<Attendance>,
        _: &Actor,
    ) -> Result<()> {
        Ok(())
    }
}

#[connector]
impl Bureau {
    /// The affairs; those far away are asked for in vain, more often than the operator allows.
    #[sync(every = "1h")]
    async fn affairs(&self, cx: &Context<Self>, channel: ChannelId, after: Option<u64>) -> Result<Step<u64>> {
        if channel.as_str() == "far" {
            for _ in 0..2 {
                cx.provider().get("/far").send().await.err();
            }
            return Ok(Step::Done(0));
        }
        let number = after.unwrap_or_default() + 1;
        let (clerk, grace) = (Actor::new(format!("clerk-{}", cx.owner())), Actor::new("7").name("Grace"));
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let schedule = Schedule::new("one", at("2026-01-05T08:00:00Z"))
            .end(at("2026-01-05T09:00:00Z"))
            .recurrence(["RRULE:FREQ=WEEKLY;COUNT=4".to_owned()], "Europe/Berlin")
            .location("Room 3")
            .attendee(clerk, None)
            .attendee(grace.clone(), Some(Attendance::Attend));
        let third = Schedule::new("third", at("2026-01-19T10:00:00Z"))
            .end(at("2026-01-19T11:00:00Z"))
            .occurrence(at("2026-01-19T08:00:00Z"))
            .title("An affair outside")
            .location("The garden");
        let button = cx.callback(Pressed {}).await?;
        let source = Source::new("bureau", ["1"]);
        let author = Author::person(grace.clone());
        let link = NewLink::new(Affair::Open, source, &channel, author, second(1))
            .title("An affair")
            .contacts([Contact::new(grace)])
            .schedules([schedule, third])
            .actions([ActionButton::run("Press", &button)]);
        cx.integrations().save_link(link).await?;
        Ok(Step::Done(number))
    }

    /// A button.
    #[callback]
    async fn pressed(&self, _: &Context<Self>, #[input] _action: Action) -> Result<()> {
        Ok(())
    }

    /// Something happened.
    #[webhook(verify = function(proof), delivery_id = "X-Delivery")]
    async fn happened(&self, _: &Context<Self>, #[input] _request: Verified<WebhookRequest>) -> Result<()> {
        Ok(())
    }
}

impl Subscription for Happened {
    async fn create(&self, _: &Context<Bureau>, endpoint: &Endpoint) -> Result<Registration> {
        *ENDPOINT.lock().expect("no panic") = Some(endpoint.clone());
        Ok(Registration::new("1"))
    }

    async fn delete(&self, _: &Context<Bureau>, _: &Registration) -> Result<()> {
        Ok(())
    }
}

/// A service that answers that there is nothing.
async fn service() -> url::Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        axum::serve(listener, axum::Router::new()).await.expect("it serves");
    });
    url.parse().expect("a URL")
}

/// Settings with which an account is authorized, is pushed to, and is suspended after one request to its service.
pub(crate) async fn configure(config: &mut Config) {
    let service = service().await;
    config.allow_private = true;
    config.public_url = Some("https://connectors.test/".parse().expect("a URL"));
    config.limits.budget_requests = std::num::NonZeroU32::new(1);
    let provider = ProviderConfig {
        client_id: Some("a-client".to_owned()),
        client_secret: Some(Secret::new("a secret of the client")),
        api_url: Some(service.clone()),
        revoke_url: Some(service),
        ..ProviderConfig::default()
    };
    config.providers.insert("github".to_owned(), provider);
}

/// A connection that is synced, was pushed to, and has what its user wrote refused; and one that is suspended.
pub(crate) async fn connected(bench: &Bench, user: &str) -> [String; 2] {
    let connect = async || {
        let body = json!({"connector": "bureau", "user": user, "token": "a-token-of-the-bureau"});
        bench.ok("POST", "/connections", body).await["id"].as_str().expect("an id").to_owned()
    };
    // What was told before may be of a connection that is gone by now.
    *ENDPOINT.lock().expect("no panic") = None;
    let (id, far) = (connect().await, connect().await);
    bench.ok("PUT", &format!("/connections/{id}/channels/affairs"), Value::Null).await;
    let synced = |connection: &Value| connection["channels"][0]["sync"]["state"] == "synced";
    bench.until(&format!("/connections/{id}"), synced).await;
    bench.ok("PUT", &format!("/connections/{far}/channels/far"), Value::Null).await;
    bench.until(&format!("/connections/{far}"), |connection| connection["status"] == "suspended").await;
    for _ in 0..10_000 {
        if ENDPOINT.lock().expect("no panic").is_some() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let endpoint = ENDPOINT.lock().expect("no panic").clone().expect("it is told");
    let url: url::Url = endpoint.url.parse().expect("a URL");
    let push = Request::builder().method("POST").uri(url.path()).header("x-proof", PROOF).header("x-delivery", "1");
    let answer = bench.router.clone().oneshot(push.body(Body::from("{}")).expect("a request")).await;
    assert_eq!(answer.expect("an answer").status().as_u16(), 200);
    let draft = json!({"user": user, "connection": id, "type": "affair", "title": "nothing", "channel": "affairs"});
    bench.ok("POST", "/threads", draft).await;
    [id, far]
}
