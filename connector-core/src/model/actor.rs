use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::UserId;

/// A person, or the connector itself, at the service: who wrote, owns, receives or reacts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Actor {
    /// The service's id of the account. Not a name, which can change.
    pub id: String,
    /// Shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// E-mail address, where the service tells it; ties the accounts of one person together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// URL of a picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    /// Handle at the service: `octocat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// An app or bot, not a person.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bot: bool,
    /// The user of the embedding product who this is, where the host knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
}

impl Actor {
    /// The account with this id at the service.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), name: None, email: None, avatar: None, handle: None, bot: false, user: None }
    }

    /// With the name that is shown.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// With the e-mail address.
    pub fn email(mut self, email: impl Into<String>) -> Self {
        self.email = Some(email.into());
        self
    }

    /// With the URL of a picture.
    pub fn avatar(mut self, url: impl Into<String>) -> Self {
        self.avatar = Some(url.into());
        self
    }

    /// With the handle at the service.
    pub fn handle(mut self, handle: impl Into<String>) -> Self {
        self.handle = Some(handle.into());
        self
    }

    /// As an app or bot.
    pub fn bot(mut self) -> Self {
        self.bot = true;
        self
    }
}

/// Who wrote something (R8.4, L18). Leaving it out does not compile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Author {
    /// Someone at the service.
    Person(Actor),
    /// The connection's owner.
    Owner,
    /// Nobody: the service itself, for this reason.
    System {
        /// Why there is no person: `"status change"`.
        reason: String,
    },
}

impl Author {
    /// Someone at the service.
    pub fn person(actor: Actor) -> Self {
        Self::Person(actor)
    }

    /// The service itself, for this reason.
    pub fn system(reason: impl Into<String>) -> Self {
        Self::System { reason: reason.into() }
    }
}

impl From<Actor> for Author {
    fn from(actor: Actor) -> Self {
        Self::Person(actor)
    }
}

/// A person who takes part in an item, with a role of its link type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Contact {
    /// Who.
    #[serde(flatten)]
    pub actor: Actor,
    /// The id of a declared contact role; the default one if none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

impl Contact {
    /// This person, in the default role.
    pub fn new(actor: Actor) -> Self {
        Self { actor, role: None }
    }

    /// In this role.
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.role = Some(role.into());
        self
    }
}

/// Someone that a draft or note is addressed to, resolved to an account at the service (R9.5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recipient {
    /// Who.
    #[serde(flatten)]
    pub actor: Actor,
    /// `to`, `cc`, `bcc`: a declared contact role.
    pub role: String,
}

/// What a user changed about the people of a thread.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactChanges {
    /// Came in.
    #[serde(default)]
    pub added: Vec<Contact>,
    /// Went out.
    #[serde(default)]
    pub removed: Vec<Contact>,
    /// Have another role now.
    #[serde(default)]
    pub changed: Vec<Contact>,
}

/// The account that a connection works with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Account {
    /// The user whose connection it is.
    pub owner: UserId,
    /// The service's id of the account, once known.
    #[serde(default)]
    pub id: Option<String>,
    /// What the connection is called.
    #[serde(default)]
    pub name: Option<String>,
    /// The service's id of the customer that the account belongs to: a Slack team, a Notion workspace. Requests
    /// that a service pushes for a whole app are routed by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The scopes that were granted; all that were asked for where the service does not say.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// What the provider said beside the tokens: Slack's team, Atlassian's sites. Holds no secret.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub extra: serde_json::Value,
}

impl Account {
    /// The account of this user, of which nothing is known yet.
    pub fn new(owner: UserId) -> Self {
        Self { owner, id: None, name: None, tenant: None, scopes: Vec::new(), extra: serde_json::Value::Null }
    }

    /// Whether this scope was granted.
    pub fn granted(&self, scope: &str) -> bool {
        self.scopes.iter().any(|granted| granted == scope)
    }
}

/// How a connection was authorized, as `activate` gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Authorization {
    /// The account.
    pub account: Account,
}

impl Authorization {
    /// An authorization of this account.
    pub fn new(account: Account) -> Self {
        Self { account }
    }
}
