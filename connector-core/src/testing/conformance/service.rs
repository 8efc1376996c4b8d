use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use jiff::Timestamp;

use crate::model::Schedule;
use crate::network::{Request, Response};
use crate::webhook::hmac_sha256;

/// The external service of a connector, as its author knows it: in memory, always the same, without
/// faults of its own. The kit puts the faults around it.
///
/// ```
/// use connector_core::network::{Request, Response};
/// use connector_core::testing::FakeService;
/// use connector_core::testing::conformance::{ConformanceService, Edit, Item};
/// use jiff::Timestamp;
///
/// #[derive(Default)]
/// struct Notebook {
///     pages: Vec<String>,
/// }
///
/// impl ConformanceService for Notebook {
///     fn answer(&mut self, request: &Request, _now: Timestamp) -> Response {
///         match request.url.path() {
///             "/pages" => FakeService::answer(200, serde_json::to_vec(&self.pages).unwrap_or_default()),
///             _ => FakeService::answer(404, "{}"),
///         }
///     }
///
///     fn items(&self) -> Vec<Item> {
///         self.pages.iter().enumerate().map(|(id, title)| Item::new(id.to_string(), "pages", title)).collect()
///     }
///
///     fn create(&mut self, _channel: &str, title: &str, _text: &str, _at: Timestamp) -> String {
///         self.pages.push(title.to_owned());
///         (self.pages.len() - 1).to_string()
///     }
///
///     fn edit(&mut self, id: &str, edit: &Edit, _at: Timestamp) -> bool {
///         let page = id.parse().ok().and_then(|id: usize| self.pages.get_mut(id));
///         match (page, edit) {
///             (Some(page), Edit::Title(title)) => {
///                 page.clone_from(title);
///                 true
///             }
///             _ => false,
///         }
///     }
/// }
/// ```
pub trait ConformanceService: Send + 'static {
    /// Answers a request as the service does. Whether its token is right has been checked.
    fn answer(&mut self, request: &Request, now: Timestamp) -> Response;

    /// What the service holds: with what this is compared that arrives at the host.
    fn items(&self) -> Vec<Item>;

    /// Someone else makes an item at the service. `at` may be past: the item then shows up late, as
    /// one does that the service has indexed late. Answers the service's id of it.
    fn create(&mut self, channel: &str, title: &str, text: &str, at: Timestamp) -> String;

    /// Someone else edits an item at the service. False if nobody can edit that there.
    fn edit(&mut self, id: &str, edit: &Edit, at: Timestamp) -> bool;

    /// What it has pushed since it was last asked, to the endpoints that are registered with it, its newest last. The kit
    /// delivers each twice and the last one first, late, overtaking the answer to what it tells of, and forged.
    fn take_pushes(&mut self) -> Vec<Push> {
        Vec::new()
    }

    /// The endpoints that are registered with it, one entry for each: the URL.
    fn registrations(&self) -> Vec<String> {
        Vec::new()
    }

    /// It forgets all registrations, as services do that could not deliver for a while. False if it never does.
    fn lose_registrations(&mut self) -> bool {
        false
    }

    /// How it pushes to one endpoint for the whole app; none if it does not.
    fn app(&self) -> Option<App> {
        None
    }

    /// Time has passed: the service does what it does by itself, as end a registration that was not renewed.
    fn pass(&mut self, _now: Timestamp) {}

    /// The token has these scopes from now on: the user declined the others. It refuses what needs those.
    fn grant(&mut self, _scopes: &[String]) {}

    /// From now on its lists of items have no end, in this way; `None` means that they end again. False if it has no list
    /// that could be so.
    fn never_end(&mut self, _how: Option<Endless>) -> bool {
        false
    }

    /// No cursor that it has given works any more. False if its cursors never end.
    fn expire_cursors(&mut self) -> bool {
        false
    }

    /// How it refuses a request. HTTP statuses, if it does not say it otherwise.
    fn refuse(&self, refusal: Refusal) -> Response {
        refusal.response()
    }

    /// Whether a request is to change something. A service that takes everything by POST says here what does.
    fn is_write(&self, request: &Request) -> bool {
        !matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS)
    }

    /// What a request asks for, in a word or two: requests of one kind are struck alike, and reports name it.
    fn describe(&self, request: &Request) -> String {
        format!("{} {}", request.method, request.url.path())
    }
}

/// In which way a list has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Endless {
    /// Each page names itself as the next one.
    Itself,
    /// The last page names the first one as the next.
    First,
    /// After the last page comes the last page again, under a name or number of its own.
    Again,
}

/// How a service pushes to the one endpoint of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// What the token's account belongs to, as the provider says it when it gives the token.
    pub tenant: String,
    /// The secret of the app, which the service signs with.
    pub secret: String,
}

/// An item as the service holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Item {
    /// The service's id of it.
    pub id: String,
    /// The channel that it is in, as `get_channels` names it.
    pub channel: String,
    /// Its title.
    pub title: String,
    /// Its status, as the id of a status of its link type. None is not compared.
    pub status: Option<String>,
    /// The texts that show as its notes, in any order.
    pub notes: Vec<String>,
    /// When it came to be. None is not compared.
    pub created_at: Option<Timestamp>,
    /// When it takes place: of an event that recurs the event itself, and each occurrence that differs from it. Who
    /// attends is not compared; none are not either.
    pub schedules: Vec<Schedule>,
}

impl Item {
    /// An item in this channel.
    pub fn new(id: impl Into<String>, channel: impl Into<String>, title: impl Into<String>) -> Self {
        let (id, channel, title) = (id.into(), channel.into(), title.into());
        Self { id, channel, title, status: None, notes: Vec::new(), created_at: None, schedules: Vec::new() }
    }

    /// In this status.
    pub fn status(mut self, status: impl Into<String>) -> Self {
        self.status = Some(status.into());
        self
    }

    /// With these texts as notes.
    pub fn notes<T: Into<String>>(mut self, notes: impl IntoIterator<Item = T>) -> Self {
        self.notes.extend(notes.into_iter().map(Into::into));
        self
    }

    /// Made then.
    pub fn created_at(mut self, at: Timestamp) -> Self {
        self.created_at = Some(at);
        self
    }

    /// Takes place then.
    pub fn schedules(mut self, schedules: impl IntoIterator<Item = Schedule>) -> Self {
        self.schedules.extend(schedules);
        self
    }
}

/// What someone else does to an item at the service.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Edit {
    /// Gives it this title.
    Title(String),
    /// Puts it into the status with this id.
    Status(String),
    /// Comments on it, or replies.
    Note(String),
    /// Lets the event recur daily, so many times from when it takes place.
    Repeat(u32),
    /// Lets the occurrence of an event that would begin then take place at another time.
    Move {
        /// When it would begin.
        occurrence: Timestamp,
        /// When it begins.
        to: Timestamp,
    },
    /// Lets the occurrence of an event that would begin then not take place.
    Cancel {
        /// When it would begin.
        occurrence: Timestamp,
    },
    /// Takes back what was done to the occurrence of an event that would begin then: it takes place as the event says.
    Restore {
        /// When it would begin.
        occurrence: Timestamp,
    },
    /// Deletes it.
    Delete,
    /// Gives another text to a comment of someone else's.
    Reword {
        /// The text as it is.
        note: String,
        /// The text as it is to be.
        text: String,
    },
}

/// A request that the service pushes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Push {
    /// The URL that was registered; none for the endpoint of the whole app.
    pub url: Option<String>,
    /// Headers, with the signature.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Push {
    /// A request to this endpoint.
    pub fn new(url: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { url: Some(url.into()), headers: Vec::new(), body: body.into() }
    }

    /// A request to the endpoint of the whole app.
    pub fn to_app(body: impl Into<Vec<u8>>) -> Self {
        Self { url: None, headers: Vec::new(), body: body.into() }
    }

    /// With this header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With the HMAC-SHA256 of the body under this secret in a header, in hex after a prefix.
    pub fn signed(self, header: &str, prefix: &str, secret: &str) -> Self {
        let digest = hmac_sha256(secret, &[&self.body]);
        self.header(header, format!("{prefix}{digest}"))
    }

    /// Signed as Slack does, at this time.
    pub fn signed_by_slack(self, secret: &str, at: Timestamp) -> Self {
        let at = at.as_second().to_string();
        let digest = hmac_sha256(secret, &[b"v0:", at.as_bytes(), b":", &self.body]);
        self.header("X-Slack-Request-Timestamp", at).header("X-Slack-Signature", format!("v0={digest}"))
    }
}

/// Why the service is to refuse a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The token is wrong, expired or revoked.
    Unauthorized,
    /// Too many requests, for this many seconds.
    TooMany {
        /// Until it takes others.
        seconds: u32,
    },
    /// It failed.
    Failed,
    /// What was asked for is wrong, and stays so.
    Rejected,
}

impl Refusal {
    /// As HTTP says it.
    pub fn response(self) -> Response {
        let mut headers = HeaderMap::new();
        let (status, said) = match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "the token is not valid"),
            Self::TooMany { seconds } => {
                headers.insert(HeaderName::from_static("retry-after"), HeaderValue::from(seconds));
                (StatusCode::TOO_MANY_REQUESTS, "too many requests")
            }
            Self::Failed => (StatusCode::INTERNAL_SERVER_ERROR, "it failed"),
            Self::Rejected => (StatusCode::UNPROCESSABLE_ENTITY, "this is not possible"),
        };
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = format!(r#"{{"message":"{said}"}}"#);
        Response { status, headers, ..crate::testing::FakeService::answer(200, body) }
    }
}
