//! What a connector declares, as constant data that `#[connector]` writes.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::link_type::{LinkTypeDeclaration, Reactions};
use crate::model::Account;
use crate::network::{FailureFn, QuotaDeclaration};
use crate::options::OptionsDeclaration;
use crate::secret::Secret;
use crate::tool::ToolDeclaration;

/// Everything that `#[connector(…)]` on a struct says (R1.1).
#[derive(Debug, Clone, Copy, Serialize)]
#[non_exhaustive]
pub struct Declaration {
    /// Stable id, in kebab-case.
    pub id: &'static str,
    /// Display name.
    pub name: &'static str,
    /// From the doc comment.
    pub description: &'static str,
    /// URL or data URL of a logo.
    pub logo: Option<&'static str>,
    /// Who authorizes; none for a connector with a key, or with no credential.
    pub provider: Option<Provider>,
    /// What is asked of the provider.
    pub scopes: Scopes,
    /// One credential for the whole workspace.
    pub shared: bool,
    /// The secure option that is used in place of OAuth.
    pub key_option: Option<&'static str>,
    /// How many channels a connection has and who sees the list.
    pub channels: ChannelRules,
    /// The kinds of external item.
    pub link_types: &'static [&'static LinkTypeDeclaration],
    /// Link types are refined per channel at run time (R1.8).
    pub dynamic_link_types: bool,
    /// The reactions that the service takes, unless a link type says otherwise.
    pub reactions: Option<Reactions>,
    /// Notes that users write are handed to `on_note_created`.
    pub handle_replies: bool,
    /// A user may connect several accounts.
    pub multiple_instances: bool,
    /// The products of a combined connector.
    pub products: &'static [Product],
    /// What connecting grants, in plain language.
    pub access: &'static [&'static str],
    /// The URL patterns that it may reach (R10.1).
    pub urls: &'static [&'static str],
    /// What the answers of the service mean where the usual rules do not know it; `None` means that they are enough.
    #[serde(skip)]
    pub errors: Option<FailureFn>,
    /// The quotas of the service that are known.
    pub quotas: &'static [QuotaDeclaration],
    /// Its options.
    pub options: &'static OptionsDeclaration,
    /// The compiler has reported what is wrong with it, and that is left out here.
    #[doc(hidden)]
    #[serde(skip)]
    pub incomplete: bool,
    /// The tools that it uses.
    #[serde(skip)]
    pub tools: &'static [fn() -> &'static ToolDeclaration],
    /// Its version; a change of it dispatches `upgrade`.
    pub version: &'static str,
}

impl Declaration {
    /// Whether something that is declared makes the host call this hook.
    pub const fn calls(&self, hook: Hooks) -> bool {
        if self.incomplete {
            return true;
        }
        if Hooks::NOTE_CREATED.with(Hooks::NOTE_UPDATED).has(hook) {
            return self.handle_replies;
        }
        if Hooks::OPTIONS_CHANGED.has(hook) {
            return !self.options.fields.is_empty();
        }
        if Hooks::NOTE_REACTION_CHANGED.has(hook) && self.reactions.is_some() {
            return true;
        }
        let of_items = Hooks::LINK_UPDATED.with(Hooks::THREAD_READ).with(Hooks::THREAD_TO_DO);
        if of_items.with(Hooks::DOWNLOAD_ATTACHMENT).has(hook) {
            return self.dynamic_link_types || !self.link_types.is_empty();
        }
        let of_some_type = Hooks::CREATE_LINK.with(Hooks::CONTACTS_CHANGED).with(Hooks::NOTE_REACTION_CHANGED);
        if !of_some_type.has(hook) {
            return true;
        }
        let mut types = self.link_types;
        while let Some((first, rest)) = types.split_first() {
            let called = (Hooks::CREATE_LINK.has(hook) && first.compose.is_some())
                || (Hooks::CONTACTS_CHANGED.has(hook) && first.supports.contact_changes)
                || (Hooks::NOTE_REACTION_CHANGED.has(hook) && first.reactions.is_some());
            if called {
                return true;
            }
            types = rest;
        }
        false
    }

    /// A declaration in which everything but the id and the name has its default.
    pub const fn new(id: &'static str, name: &'static str) -> Self {
        Self {
            id,
            name,
            description: "",
            logo: None,
            provider: None,
            scopes: Scopes { required: &[], optional: &[] },
            shared: false,
            key_option: None,
            channels: ChannelRules {
                single: false,
                fixed: false,
                hidden: false,
                auto_enable_new: false,
                noun: Noun { singular: "channel", plural: "channels" },
            },
            link_types: &[],
            dynamic_link_types: false,
            reactions: None,
            handle_replies: false,
            multiple_instances: false,
            products: &[],
            access: &[],
            urls: &[],
            errors: None,
            quotas: &[],
            options: &OptionsDeclaration { fields: &[] },
            incomplete: false,
            tools: &[],
            version: "1",
        }
    }

    /// The link type with this id.
    pub fn link_type(&self, id: &str) -> Option<&'static LinkTypeDeclaration> {
        self.link_types.iter().copied().find(|link_type| link_type.id == id)
    }
}

/// Rules for the channels of a connector.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ChannelRules {
    /// `get_channels` returns exactly one, which is enabled with the connection (R1.6).
    pub single: bool,
    /// The list never changes after connecting.
    pub fixed: bool,
    /// The list is not shown.
    pub hidden: bool,
    /// A newly discovered channel is enabled by itself, unless the connection says otherwise.
    pub auto_enable_new: bool,
    /// What a channel is called.
    pub noun: Noun,
}

/// What a thing is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Noun {
    /// One of them.
    pub singular: &'static str,
    /// Several of them.
    pub plural: &'static str,
}

/// The OAuth authority of a connector (R1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names of the services say all there is to say")]
pub enum Provider {
    Google,
    Microsoft,
    Notion,
    Slack,
    Atlassian,
    Linear,
    Monday,
    GitHub,
    Asana,
    HubSpot,
    Todoist,
    Airtable,
    Trello,
    /// A provider that the author declares in code.
    Custom(CustomProvider),
}

impl Provider {
    /// All built-in ones.
    pub const BUILT_IN: [Self; 13] = [
        Self::Google,
        Self::Microsoft,
        Self::Notion,
        Self::Slack,
        Self::Atlassian,
        Self::Linear,
        Self::Monday,
        Self::GitHub,
        Self::Asana,
        Self::HubSpot,
        Self::Todoist,
        Self::Airtable,
        Self::Trello,
    ];

    /// The id, as in configuration: `[providers.github]`.
    pub const fn id(&self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Microsoft => "microsoft",
            Self::Notion => "notion",
            Self::Slack => "slack",
            Self::Atlassian => "atlassian",
            Self::Linear => "linear",
            Self::Monday => "monday",
            Self::GitHub => "github",
            Self::Asana => "asana",
            Self::HubSpot => "hubspot",
            Self::Todoist => "todoist",
            Self::Airtable => "airtable",
            Self::Trello => "trello",
            Self::Custom(custom) => custom.id,
        }
    }

    /// The service counts the requests of an account for each method of its API, not for all of them:
    /// <https://api.slack.com/apis/rate-limits>.
    pub(crate) const fn limits_by_method(&self) -> bool {
        matches!(self, Self::Slack)
    }

    /// What `Authorization` is for a request that bears this token: as RFC 6750 says, but for Trello, which takes a
    /// token with the key of the app that it was given to alone
    /// (<https://developer.atlassian.com/cloud/trello/guides/rest-api/authorization/>).
    pub(crate) fn authorization(&self, client_id: Option<&str>, token: &Secret) -> Result<String> {
        match (self, client_id) {
            (Self::Trello, Some(key)) => {
                Ok(format!("OAuth oauth_consumer_key=\"{key}\", oauth_token=\"{}\"", token.expose()))
            }
            (Self::Trello, None) => {
                Err(Error::rejected("the host is not registered at trello: set `providers.trello.client_id`"))
            }
            _ => Ok(format!("Bearer {}", token.expose())),
        }
    }

    /// Where the service's API begins, without a trailing slash, unless configuration says otherwise.
    pub const fn api_url(&self) -> &'static str {
        match self {
            Self::Google => "https://www.googleapis.com",
            Self::Microsoft => "https://graph.microsoft.com/v1.0",
            Self::Notion => "https://api.notion.com/v1",
            Self::Slack => "https://slack.com/api",
            Self::Atlassian => "https://api.atlassian.com",
            Self::Linear => "https://api.linear.app/graphql",
            Self::Monday => "https://api.monday.com/v2",
            Self::GitHub => "https://api.github.com",
            Self::Asana => "https://app.asana.com/api/1.0",
            Self::HubSpot => "https://api.hubapi.com",
            Self::Todoist => "https://api.todoist.com/api/v1",
            Self::Airtable => "https://api.airtable.com/v0",
            Self::Trello => "https://api.trello.com/1",
            Self::Custom(custom) => custom.api_url,
        }
    }
}

/// A custom OAuth 2.0 or OIDC provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CustomProvider {
    /// The id, in kebab-case; names its configuration.
    pub id: &'static str,
    /// Authorization endpoint (RFC 6749 3.1).
    pub authorize_url: &'static str,
    /// Token endpoint (RFC 6749 3.2).
    pub token_url: &'static str,
    /// Revocation endpoint (RFC 7009).
    pub revoke_url: Option<&'static str>,
    /// OIDC issuer, whose discovery document gives the endpoints.
    pub issuer: Option<&'static str>,
    /// Where the API begins, without a trailing slash.
    pub api_url: &'static str,
}

/// What is asked of the provider (R1.2).
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Scopes {
    /// Declining one of these fails the connection.
    pub required: &'static [&'static str],
    /// Groups that the user may switch off.
    pub optional: &'static [ScopeGroup],
}

/// Scopes that the user grants or declines together.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ScopeGroup {
    /// Stable id.
    pub id: &'static str,
    /// Shown beside the switch.
    pub label: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// The scopes.
    pub scopes: &'static [&'static str],
    /// Whether the switch begins on.
    pub default: bool,
}

/// One product of a combined connector (R1.10).
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Product {
    /// Stable key; the ids of its channels begin with `key:`.
    pub key: &'static str,
    /// Shown.
    pub label: &'static str,
    /// The id of the optional scope group that grants it.
    pub scope_group: &'static str,
}

impl Declaration {
    /// Whether an account was granted the scopes of a product.
    pub(crate) fn grants(&self, product: &Product, account: &Account) -> bool {
        let group = self.scopes.optional.iter().find(|group| group.id == product.scope_group);
        group.is_some_and(|group| group.scopes.iter().all(|scope| account.granted(scope)))
    }
}

/// Which hooks a connector's `impl Connector` has (R1.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hooks(u32);

/// Names the hooks, in the order of their bits.
macro_rules! hooks {
    ($($constant:ident = $name:literal),* $(,)?) => {
        #[repr(u32)]
        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "gives each constant its position")]
        enum Position { $($constant),* }

        impl Hooks {
            $(
                #[doc = concat!("`", $name, "`")]
                pub const $constant: Self = Self(1 << Position::$constant as u32);
            )*

            const NAMES: &'static [(Self, &'static str)] = &[$((Self::$constant, $name)),*];
        }
    };
}

hooks! {
    ACTIVATE = "activate",
    UPGRADE = "upgrade",
    DEACTIVATE = "deactivate",
    OPTIONS_CHANGED = "on_options_changed",
    GET_ACCOUNT_NAME = "get_account_name",
    GET_ACCOUNT_IDENTITY = "get_account_identity",
    GET_ACCOUNT_TENANT = "get_account_tenant",
    GET_CHANNELS = "get_channels",
    CHANNEL_ENABLED = "on_channel_enabled",
    CHANNEL_DISABLED = "on_channel_disabled",
    LINK_UPDATED = "on_link_updated",
    CREATE_LINK = "on_create_link",
    NOTE_CREATED = "on_note_created",
    NOTE_UPDATED = "on_note_updated",
    THREAD_READ = "on_thread_read",
    THREAD_TO_DO = "on_thread_to_do",
    CONTACTS_CHANGED = "on_contacts_changed",
    SCHEDULE_CONTACT_UPDATED = "on_schedule_contact_updated",
    NOTE_REACTION_CHANGED = "on_note_reaction_changed",
    DOWNLOAD_ATTACHMENT = "download_attachment",
}

impl Hooks {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// Both sets together.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are in it.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names of those in it, in the order of the trait.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().filter(move |(hook, _)| self.has(*hook)).map(|(_, name)| *name)
    }
}
