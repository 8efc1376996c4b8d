//! A provider as this host uses it: what is known of it, with what the operator set in its place.

use std::collections::BTreeMap;
use std::sync::Arc;

use connector_core::declaration::Provider;
use connector_core::registry::Registry;
use connector_core::secret::Secret;
use url::Url;

use super::providers::{ProviderData, Revocation, data};
use crate::config::{Config, ConfigError, ProviderConfig};

/// A provider with everything that requests to it need.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) id: &'static str,
    pub(super) data: ProviderData,
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<Secret>,
    /// None where discovery has yet to tell.
    pub(super) authorize_url: Option<Url>,
    pub(super) token_url: Option<Url>,
    pub(super) revoke_url: Option<Url>,
    /// Endpoints that the operator has set, which go before what is discovered.
    pub(super) own: OwnEndpoints,
    pub(super) api_url: Url,
    /// The issuer, and whether its discovery document gives the endpoints.
    pub(super) issuer: Option<String>,
    pub(super) discovers: bool,
    /// It says in every answer who it is (RFC 9207 3).
    pub(super) names_itself: bool,
}

/// Endpoints that the operator has set.
#[derive(Debug, Clone)]
pub(super) struct OwnEndpoints {
    pub(super) authorize_url: Option<Url>,
    pub(super) token_url: Option<Url>,
    pub(super) revoke_url: Option<Url>,
}

/// Every provider that a connector of this host can have.
pub(super) fn all(config: &Config, registry: &Registry) -> Result<BTreeMap<&'static str, Arc<Settings>>, ConfigError> {
    let linked = registry.iter().filter_map(|connector| connector.declaration.provider);
    let mut found = BTreeMap::new();
    let mut mistakes = Vec::new();
    let none = ProviderConfig::default();
    for provider in Provider::BUILT_IN.into_iter().chain(linked) {
        let id = provider.id();
        match of(provider, config.providers.get(id).unwrap_or(&none)) {
            Ok(settings) => drop(found.insert(id, Arc::new(settings))),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if mistakes.is_empty() { Ok(found) } else { Err(ConfigError(mistakes)) }
}

fn of(provider: Provider, config: &ProviderConfig) -> Result<Settings, String> {
    let (id, data) = (provider.id(), data(provider));
    let url = |what: &str, set: &Option<Url>, known: &str| match set {
        Some(set) => Ok(Some(set.clone())),
        None if known.is_empty() => Ok(None),
        None => {
            Url::parse(known).map(Some).map_err(|error| format!("`{known}`, the {what} of {id}, is no URL: {error}"))
        }
    };
    let known_revocation = match data.revocation {
        Revocation::Standard(url) | Revocation::Bearer(url) => url,
        Revocation::None | Revocation::Delete(_) => "",
    };
    let api_url = url("base of the API", &config.api_url, provider.api_url())?;
    Ok(Settings {
        id,
        data,
        client_id: config.client_id.clone(),
        client_secret: config.client_secret.clone(),
        authorize_url: url("authorization endpoint", &config.authorize_url, data.authorize_url)?,
        token_url: url("token endpoint", &config.token_url, data.token_url)?,
        revoke_url: url("revocation endpoint", &config.revoke_url, known_revocation)?,
        own: OwnEndpoints {
            authorize_url: config.authorize_url.clone(),
            token_url: config.token_url.clone(),
            revoke_url: config.revoke_url.clone(),
        },
        api_url: api_url.ok_or_else(|| format!("{id} has no base of its API"))?,
        issuer: match &config.issuer {
            Some(issuer) => Some(issuer.as_str().trim_end_matches('/').to_owned()),
            None => data.issuer.map(|issuer| issuer.trim_end_matches('/').to_owned()),
        },
        names_itself: false,
        discovers: config.issuer.is_some() || matches!(provider, Provider::Custom(custom) if custom.issuer.is_some()),
    })
}

impl Settings {
    /// How a token is revoked, given the operator's endpoint.
    pub(super) fn revocation(&self) -> Revocation {
        match (self.data.revocation, &self.revoke_url) {
            (Revocation::None, Some(_)) => Revocation::Standard(""),
            (known, _) => known,
        }
    }

    /// The scopes that are asked for, in the provider's own form.
    pub(super) fn scope_text(&self, asked: &[String]) -> String {
        let always = self.data.always.iter().copied();
        let mut scopes: Vec<&str> = Vec::new();
        for scope in asked.iter().map(String::as_str).chain(always) {
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        scopes.join(self.data.scope.1)
    }

    /// The scopes that were granted, by the names that were asked for, then the others.
    pub(super) fn granted(&self, asked: &[String], said: &[String]) -> Vec<String> {
        let covers = self.data.covers;
        let covered = |scope: &str| {
            let mut by = covers.iter().filter(|(wide, _)| said.iter().any(|said| said == wide));
            by.any(|(_, narrow)| narrow.contains(&scope))
        };
        // Microsoft answers with the resource before the scope, or without it, and in another case.
        let last = |scope: &str| scope.rsplit('/').next().unwrap_or(scope).to_ascii_lowercase();
        let same = |asked: &str, said: &str| {
            asked.eq_ignore_ascii_case(said) || (asked.contains('/') != said.contains('/') && last(asked) == last(said))
        };
        // These ask for parts of the identity, and are left out of some answers (OpenID Connect Core 1.0 5.4, 11).
        let of_identity = |scope: &str| matches!(scope, "openid" | "profile" | "email" | "offline_access");
        let is_granted =
            |scope: &str| of_identity(scope) || covered(scope) || said.iter().any(|said| same(scope, said));
        let mut granted: Vec<String> = asked.iter().filter(|scope| is_granted(scope)).cloned().collect();
        for scope in said {
            if !granted.iter().any(|known| same(known, scope)) {
                granted.push(scope.clone());
            }
        }
        granted
    }
}
