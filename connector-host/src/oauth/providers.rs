//! What is known of each provider, as data (R1.3). Every entry names the provider's page that it follows.

use connector_core::declaration::Provider;

/// How a provider does OAuth 2.0, where the standard leaves a choice or the provider leaves the standard.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProviderData {
    pub(super) authorize_url: &'static str,
    pub(super) token_url: &'static str,
    pub(super) revocation: Revocation,
    /// A path below the base of the API that answers 401 to a token which is not valid, where an unknown token and a
    /// wrong request get the same answer from the revocation.
    pub(super) check: Option<&'static str>,
    /// What `iss` is in its answers (RFC 9207), for the providers that say it.
    pub(super) issuer: Option<&'static str>,
    /// The parameter that asks for scopes, and what stands between them.
    pub(super) scope: (&'static str, &'static str),
    /// Asked for always, and not counted as granted or declined.
    pub(super) always: &'static [&'static str],
    /// Further parameters of the authorization request.
    pub(super) parameters: &'static [(&'static str, &'static str)],
    /// It takes a code challenge (RFC 7636).
    pub(super) pkce: bool,
    pub(super) client: ClientAuthentication,
    pub(super) encoding: Encoding,
    pub(super) refresh: Refresh,
    /// Types of tokens that are bearer tokens beside `bearer`.
    pub(super) token_types: &'static [&'static str],
    pub(super) answer: Answer,
    pub(super) flow: Flow,
    /// A list that is asked for with a new token and kept as `extra.sites`: a path below the base of the API.
    pub(super) sites: Option<&'static str>,
    /// What a scope covers beside itself, where the provider leaves the covered ones out.
    pub(super) covers: &'static [(&'static str, &'static [&'static str])],
}

/// How the host proves who it is (RFC 6749 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientAuthentication {
    Basic,
    Body,
}

/// How the token endpoint takes its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Form,
    Json,
}

/// What becomes of a refresh token that was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refresh {
    /// There is none: access tokens last until they are revoked.
    Never,
    /// It stays.
    Kept,
    /// Another takes its place. After a lost answer the old one works for a short while at most.
    Rotates,
}

/// How a token comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// In exchange for a code (RFC 6749 4.1).
    Code,
    /// In the fragment of the redirect, which only the browser sees.
    Fragment,
}

/// How a token is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Revocation {
    /// It cannot be.
    None,
    /// RFC 7009.
    Standard(&'static str),
    /// By a request that bears the token.
    Bearer(&'static str),
    /// `DELETE` at the base of the API, with `{client_id}` or `{token}` in the path.
    Delete(&'static str),
}

/// Where things are in the answer of the token endpoint, as JSON pointers; the first that is there counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    /// The object with the user's token, where it is not the whole.
    pub(super) user: Option<&'static str>,
    pub(super) account_id: &'static [&'static str],
    pub(super) account_name: &'static [&'static str],
    /// The customer of the service, which its webhooks name.
    pub(super) tenant: Option<&'static str>,
    /// Fields that are kept for the connector. Named one by one, as others may hold secrets.
    pub(super) extra: &'static [&'static str],
}

const NOTHING: Answer = Answer { user: None, account_id: &[], account_name: &[], tenant: None, extra: &[] };

/// What the standard says, for providers that declare no more than their endpoints.
const STANDARD: ProviderData = ProviderData {
    authorize_url: "",
    token_url: "",
    revocation: Revocation::None,
    check: None,
    issuer: None,
    scope: ("scope", " "),
    always: &[],
    parameters: &[],
    pkce: true,
    client: ClientAuthentication::Basic,
    encoding: Encoding::Form,
    refresh: Refresh::Rotates,
    token_types: &[],
    answer: NOTHING,
    flow: Flow::Code,
    sites: None,
    covers: &[],
};

/// <https://developers.google.com/identity/protocols/oauth2/web-server>. A refresh token comes with consent
/// alone, so that is always asked for.
const GOOGLE: ProviderData = ProviderData {
    authorize_url: "https://accounts.google.com/o/oauth2/v2/auth",
    token_url: "https://oauth2.googleapis.com/token",
    revocation: Revocation::Standard("https://oauth2.googleapis.com/revoke"),
    issuer: Some("https://accounts.google.com"),
    parameters: &[("access_type", "offline"), ("prompt", "consent")],
    client: ClientAuthentication::Body,
    refresh: Refresh::Kept,
    covers: &[
        ("https://www.googleapis.com/auth/userinfo.email", &["email"]),
        ("https://www.googleapis.com/auth/userinfo.profile", &["profile"]),
    ],
    ..STANDARD
};

/// <https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-auth-code-flow>. Without
/// `offline_access` there is no refresh token; it is not among the granted scopes. Tokens of one app cannot
/// be revoked one by one.
const MICROSOFT: ProviderData = ProviderData {
    authorize_url: "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
    token_url: "https://login.microsoftonline.com/common/oauth2/v2.0/token",
    always: &["offline_access"],
    parameters: &[("prompt", "select_account")],
    client: ClientAuthentication::Body,
    ..STANDARD
};

/// <https://developers.notion.com/docs/authorization>. It knows no scopes: what an integration may do is set
/// where it is registered.
const NOTION: ProviderData = ProviderData {
    authorize_url: "https://api.notion.com/v1/oauth/authorize",
    token_url: "https://api.notion.com/v1/oauth/token",
    revocation: Revocation::Standard("https://api.notion.com/v1/oauth/revoke"),
    parameters: &[("owner", "user")],
    pkce: false,
    encoding: Encoding::Json,
    answer: Answer {
        user: None,
        account_id: &["/owner/user/id", "/bot_id"],
        account_name: &["/workspace_name"],
        tenant: Some("/workspace_id"),
        extra: &["workspace_id", "workspace_name", "workspace_icon", "bot_id", "duplicated_template_id"],
    },
    ..STANDARD
};

/// <https://docs.slack.dev/authentication/installing-with-oauth>,
/// <https://docs.slack.dev/authentication/using-token-rotation>. A connection acts as its user, so the user's
/// token is asked for; it is within `authed_user`. PKCE makes an app a public one, without a secret.
const SLACK: ProviderData = ProviderData {
    authorize_url: "https://slack.com/oauth/v2/authorize",
    token_url: "https://slack.com/api/oauth.v2.access",
    revocation: Revocation::Bearer("https://slack.com/api/auth.revoke"),
    scope: ("user_scope", ","),
    pkce: false,
    token_types: &["user", "bot"],
    answer: Answer {
        user: Some("/authed_user"),
        account_id: &["/authed_user/id"],
        account_name: &["/team/name"],
        tenant: Some("/team/id"),
        extra: &["team", "enterprise", "is_enterprise_install", "app_id", "bot_user_id"],
    },
    ..STANDARD
};

/// <https://developer.atlassian.com/cloud/jira/platform/oauth-2-3lo-apps/>. A token is for all sites that the
/// user chose, so their cloud ids are asked for with it.
const ATLASSIAN: ProviderData = ProviderData {
    authorize_url: "https://auth.atlassian.com/authorize",
    token_url: "https://auth.atlassian.com/oauth/token",
    always: &["offline_access"],
    parameters: &[("audience", "api.atlassian.com"), ("prompt", "consent")],
    pkce: false,
    client: ClientAuthentication::Body,
    encoding: Encoding::Json,
    sites: Some("/oauth/token/accessible-resources"),
    ..STANDARD
};

/// <https://linear.app/developers/oauth-2-0-authentication>. A refresh token that was used gives the same
/// answer for thirty minutes more.
const LINEAR: ProviderData = ProviderData {
    authorize_url: "https://linear.app/oauth/authorize",
    token_url: "https://api.linear.app/oauth/token",
    revocation: Revocation::Standard("https://api.linear.app/oauth/revoke"),
    scope: ("scope", ","),
    parameters: &[("prompt", "consent")],
    client: ClientAuthentication::Body,
    ..STANDARD
};

/// <https://developer.monday.com/apps/docs/oauth>. Access tokens last until the user removes the app.
const MONDAY: ProviderData = ProviderData {
    authorize_url: "https://auth.monday.com/oauth2/authorize",
    token_url: "https://auth.monday.com/oauth2/token",
    pkce: false,
    client: ClientAuthentication::Body,
    refresh: Refresh::Never,
    ..STANDARD
};

/// <https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps>,
/// <https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps>. Tokens of OAuth
/// apps do not expire; those of GitHub apps may, and then come with a refresh token that rotates. Scopes
/// that another one covers are left out of the answer.
const GITHUB: ProviderData = ProviderData {
    authorize_url: "https://github.com/login/oauth/authorize",
    token_url: "https://github.com/login/oauth/access_token",
    revocation: Revocation::Delete("/applications/{client_id}/token"),
    check: Some("/user"),
    client: ClientAuthentication::Body,
    covers: &[
        ("repo", &["repo:status", "repo_deployment", "public_repo", "repo:invite", "security_events"]),
        ("admin:repo_hook", &["write:repo_hook", "read:repo_hook"]),
        ("write:repo_hook", &["read:repo_hook"]),
        ("admin:org", &["write:org", "read:org", "manage_runners:org"]),
        ("write:org", &["read:org"]),
        ("user", &["read:user", "user:email", "user:follow"]),
        ("project", &["read:project"]),
        ("admin:public_key", &["write:public_key", "read:public_key"]),
        ("write:discussion", &["read:discussion"]),
        ("write:packages", &["read:packages"]),
    ],
    ..STANDARD
};

/// <https://developers.asana.com/docs/oauth>
const ASANA: ProviderData = ProviderData {
    authorize_url: "https://app.asana.com/-/oauth_authorize",
    token_url: "https://app.asana.com/-/oauth_token",
    revocation: Revocation::Standard("https://app.asana.com/-/oauth_revoke"),
    client: ClientAuthentication::Body,
    refresh: Refresh::Kept,
    answer: Answer { account_id: &["/data/gid", "/data/id"], account_name: &["/data/name"], ..NOTHING },
    ..STANDARD
};

/// <https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/oauth/working-with-oauth>
const HUBSPOT: ProviderData = ProviderData {
    authorize_url: "https://app.hubspot.com/oauth/authorize",
    token_url: "https://api.hubapi.com/oauth/v1/token",
    revocation: Revocation::Delete("/oauth/v1/refresh-tokens/{token}"),
    pkce: false,
    client: ClientAuthentication::Body,
    refresh: Refresh::Kept,
    ..STANDARD
};

/// <https://developer.todoist.com/api/v1/#tag/Authorization>. Access tokens last until they are revoked.
const TODOIST: ProviderData = ProviderData {
    authorize_url: "https://app.todoist.com/oauth/authorize",
    token_url: "https://api.todoist.com/oauth/access_token",
    revocation: Revocation::Standard("https://api.todoist.com/api/v1/revoke"),
    scope: ("scope", ","),
    pkce: false,
    client: ClientAuthentication::Body,
    refresh: Refresh::Never,
    ..STANDARD
};

/// <https://airtable.com/developers/web/api/oauth-reference>. PKCE is required.
const AIRTABLE: ProviderData = ProviderData {
    authorize_url: "https://airtable.com/oauth2/v1/authorize",
    token_url: "https://airtable.com/oauth2/v1/token",
    ..STANDARD
};

/// <https://developer.atlassian.com/cloud/trello/guides/rest-api/authorization/>. No OAuth 2.0: the token is in
/// the fragment of the return URL, and lasts until it is revoked.
const TRELLO: ProviderData = ProviderData {
    authorize_url: "https://trello.com/1/authorize",
    revocation: Revocation::Delete("/tokens/{token}"),
    scope: ("scope", ","),
    parameters: &[("expiration", "never"), ("callback_method", "fragment"), ("response_type", "token")],
    pkce: false,
    refresh: Refresh::Never,
    flow: Flow::Fragment,
    ..STANDARD
};

/// What is known of a provider.
pub(super) fn data(provider: Provider) -> ProviderData {
    match provider {
        Provider::Google => GOOGLE,
        Provider::Microsoft => MICROSOFT,
        Provider::Notion => NOTION,
        Provider::Slack => SLACK,
        Provider::Atlassian => ATLASSIAN,
        Provider::Linear => LINEAR,
        Provider::Monday => MONDAY,
        Provider::GitHub => GITHUB,
        Provider::Asana => ASANA,
        Provider::HubSpot => HUBSPOT,
        Provider::Todoist => TODOIST,
        Provider::Airtable => AIRTABLE,
        Provider::Trello => TRELLO,
        Provider::Custom(custom) => ProviderData {
            authorize_url: custom.authorize_url,
            token_url: custom.token_url,
            revocation: custom.revoke_url.map_or(Revocation::None, Revocation::Standard),
            issuer: custom.issuer,
            ..STANDARD
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The account is where the provider's own page has it in the answer of the token endpoint.
    #[test]
    fn accounts_are_found_in_the_answers_of_providers() {
        let answers = [
            (
                Provider::Asana,
                json!({"access_token": "a", "data": {"id": 4673218951_u64, "gid": "4673218951", "name": "Greg Sanchez"}}),
                "4673218951",
                "Greg Sanchez",
            ),
            (
                Provider::Asana,
                json!({"access_token": "a", "data": {"id": "4673218951", "name": "Greg Sanchez"}}),
                "4673218951",
                "Greg Sanchez",
            ),
            (
                Provider::Notion,
                json!({"bot_id": "b-1", "owner": {"type": "user", "user": {"id": "u-1"}}, "workspace_name": "Acme"}),
                "u-1",
                "Acme",
            ),
            (
                Provider::Notion,
                json!({"bot_id": "b-1", "owner": {"type": "workspace"}, "workspace_name": "Acme"}),
                "b-1",
                "Acme",
            ),
            (
                Provider::Slack,
                json!({"ok": true, "authed_user": {"id": "U1234"}, "team": {"id": "T9", "name": "Acme"}}),
                "U1234",
                "Acme",
            ),
        ];
        for (provider, answer, id, name) in answers {
            let data = data(provider);
            let first = |places: &[&str]| places.iter().find_map(|place| answer.pointer(place)).and_then(Value::as_str);
            assert_eq!(
                (first(data.answer.account_id), first(data.answer.account_name)),
                (Some(id), Some(name)),
                "{answer}"
            );
        }
    }
}
