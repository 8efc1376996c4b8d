//! Requests to a provider: exchange, refresh, revocation, discovery. The protocol is the `oauth2` crate's;
//! what providers do in their own way is turned into the standard's form on the way.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use connector_core::clock::BoxFuture;
use connector_core::credential::Credential;
use connector_core::network::{NetworkPort, Request, Response, TransportError, UrlRules};
use connector_core::secret::Secret;
use http::{HeaderValue, Method, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, ExtraTokenFields,
    HttpRequest, HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError,
    StandardRevocableToken, StandardTokenResponse, TokenResponse, TokenUrl,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

use super::providers::{ClientAuthentication, Encoding, Flow, Refresh, Revocation};
use super::settings::Settings;

/// How long the token endpoint may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The largest answer that is read, in bytes.
const LARGEST: usize = 1 << 20;

/// A token is refreshed this long before it ends, or a tenth of its life, whichever is less.
const EARLY: SignedDuration = SignedDuration::from_mins(5);

/// What a provider says beside the standard's fields.
#[derive(Debug, Serialize, Deserialize)]
struct Beside(Map<String, Value>);

impl ExtraTokenFields for Beside {}

type Answered = StandardTokenResponse<Beside, BasicTokenType>;

type Client = oauth2::Client<
    BasicErrorResponse,
    Answered,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
>;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OAuthError {
    /// The operator has not registered this host at the provider.
    #[error("the host is not registered at {0}: its operator has to set `providers.{0}.client_id` and `client_secret`")]
    NotConfigured(&'static str),
    /// The provider says no (RFC 6749 5.2).
    #[error("{provider} refused: {error}{}", .description.as_ref().map(|text| format!(" ({text})")).unwrap_or_default())]
    Refused {
        /// Who.
        provider: &'static str,
        /// The error code.
        error: String,
        /// In words.
        description: Option<String>,
    },
    /// No answer, or one that makes no sense: what came of the request is not known.
    #[error("{provider} gave no usable answer: {reason}")]
    Lost {
        /// Who.
        provider: &'static str,
        /// What was seen.
        reason: String,
    },
}

impl OAuthError {
    /// The grant itself is void: the user has to authorize again.
    pub(super) fn is_void(&self) -> bool {
        // The standard's code, and those of Slack and GitHub.
        const CODES: [&str; 8] = [
            "invalid_grant",
            "invalid_refresh_token",
            "token_revoked",
            "token_expired",
            "bad_refresh_token",
            "bad_verification_code",
            "account_inactive",
            "access_denied",
        ];
        matches!(self, Self::Refused { error, .. } if CODES.contains(&error.as_str()))
    }
}

/// A request for authorization: where the user goes, and what must be known when the user comes back.
pub(super) struct Asking {
    pub(super) url: Url,
    pub(super) verifier: Option<Secret>,
}

/// Talks to one provider.
#[derive(Clone)]
pub(super) struct Protocol {
    pub(super) settings: Arc<Settings>,
    pub(super) network: Arc<dyn NetworkPort>,
    pub(super) now: Timestamp,
}

impl<'c> oauth2::AsyncHttpClient<'c> for Protocol {
    type Error = OAuthError;
    type Future = BoxFuture<'c, Result<HttpResponse, OAuthError>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.carry(request))
    }
}

impl Protocol {
    fn client_id(&self) -> Result<&str, OAuthError> {
        self.settings.client_id.as_deref().ok_or(OAuthError::NotConfigured(self.settings.id))
    }

    fn lost(&self, reason: impl Into<String>) -> OAuthError {
        OAuthError::Lost { provider: self.settings.id, reason: reason.into() }
    }

    fn client(&self) -> Result<Client, OAuthError> {
        let mut client = Client::new(ClientId::new(self.client_id()?.to_owned()));
        if let Some(secret) = &self.settings.client_secret {
            client = client.set_client_secret(ClientSecret::new(secret.expose().to_owned()));
        }
        Ok(client.set_auth_type(match self.settings.data.client {
            ClientAuthentication::Basic => AuthType::BasicAuth,
            ClientAuthentication::Body => AuthType::RequestBody,
        }))
    }

    fn token_url(&self) -> Result<TokenUrl, OAuthError> {
        let url = self.settings.token_url.clone().ok_or_else(|| self.lost("its token endpoint is not known"))?;
        Ok(TokenUrl::from_url(url))
    }

    /// Where the user is sent (RFC 6749 4.1.1).
    pub(super) fn ask(&self, redirect: &Url, state: &Secret, asked: &[String]) -> Result<Asking, OAuthError> {
        let settings = &*self.settings;
        let base =
            settings.authorize_url.clone().ok_or_else(|| self.lost("its authorization endpoint is not known"))?;
        let scopes = settings.scope_text(asked);
        if settings.data.flow == Flow::Fragment {
            let mut back = redirect.clone();
            back.query_pairs_mut().append_pair("state", state.expose());
            let mut url = base;
            url.query_pairs_mut()
                .extend_pairs(settings.data.parameters)
                .append_pair(settings.data.scope.0, &scopes)
                .append_pair("key", self.client_id()?)
                .append_pair("return_url", back.as_str());
            return Ok(Asking { url, verifier: None });
        }
        let client = self
            .client()?
            .set_auth_uri(AuthUrl::from_url(base))
            .set_redirect_uri(RedirectUrl::from_url(redirect.clone()));
        let mut request = client.authorize_url(|| CsrfToken::new(state.expose().to_owned()));
        if !scopes.is_empty() {
            request = request.add_extra_param(settings.data.scope.0, scopes);
        }
        for (name, value) in settings.data.parameters {
            request = request.add_extra_param(*name, *value);
        }
        let mut verifier = None;
        if settings.data.pkce {
            let (challenge, secret) = PkceCodeChallenge::new_random_sha256();
            verifier = Some(Secret::new(secret.secret().clone()));
            request = request.set_pkce_challenge(challenge);
        }
        Ok(Asking { url: request.url().0, verifier })
    }

    /// A credential in exchange for a code (RFC 6749 4.1.3).
    pub(super) async fn exchange(
        &self,
        code: &str,
        redirect: &Url,
        verifier: Option<&Secret>,
        asked: &[String],
    ) -> Result<Credential, OAuthError> {
        let client =
            self.client()?.set_token_uri(self.token_url()?).set_redirect_uri(RedirectUrl::from_url(redirect.clone()));
        let mut request = client.exchange_code(AuthorizationCode::new(code.to_owned()));
        if let Some(verifier) = verifier {
            request = request.set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().to_owned()));
        }
        let answer: BoxFuture<'_, _> = Box::pin(request.request_async(self));
        let answered = answer.await;
        let mut credential = self.credential(answered, asked)?;
        if let Some(path) = self.settings.data.sites {
            let sites = self.below_api(Method::GET, path, None, Some(&credential.access_token)).await?;
            let sites: Value = serde_json::from_slice(&sites.body)
                .map_err(|error| self.lost(format!("its sites are no JSON: {error}")))?;
            credential.extra = json!({ "sites": sites });
        }
        Ok(credential)
    }

    /// The credential with another access token (RFC 6749 6). A rotated refresh token takes the old one's place; a lost
    /// one is asked for `again` at once.
    pub(super) async fn refresh(&self, held: &Credential, again: bool) -> Result<Credential, OAuthError> {
        let refresh_token = held.refresh_token.as_ref().ok_or_else(|| self.lost("there is no refresh token"))?;
        let refresh_token = RefreshToken::new(refresh_token.expose().to_owned());
        let client: oauth2::Client<_, _, _, _, _, EndpointNotSet, _, _, _, _> =
            self.client()?.set_token_uri(self.token_url()?);
        let tries = if again && self.settings.data.refresh == Refresh::Rotates { 2 } else { 1 };
        for left in (0..tries).rev() {
            let request = client.exchange_refresh_token(&refresh_token);
            let answer: BoxFuture<'_, _> = Box::pin(request.request_async(self));
            let answered = answer.await;
            match self.credential(answered, &held.asked_scopes) {
                Ok(fresh) => {
                    return Ok(Credential {
                        access_token: fresh.access_token,
                        refresh_token: fresh.refresh_token.or_else(|| held.refresh_token.clone()),
                        expires_at: fresh.expires_at,
                        refresh_at: fresh.refresh_at,
                        refreshing_until: None,
                        refused: None,
                        ..held.clone()
                    });
                }
                // The provider may have rotated, and answers the same again for a short while only.
                Err(error @ OAuthError::Lost { .. }) if left > 0 => {
                    tracing::warn!(provider = self.settings.id, "a refresh is asked for once more: {error}");
                }
                Err(error) => return Err(error),
            }
        }
        Err(self.lost("it was not asked"))
    }

    /// Ends a credential at the provider; false if the provider has no way to. An answer that leaves open whether the
    /// token has ended is an error: the host's own credentials may be wrong, or the endpoint.
    pub(super) async fn revoke(&self, credential: &Credential) -> Result<bool, OAuthError> {
        let settings = &*self.settings;
        let token = &credential.access_token;
        let longest = credential.refresh_token.as_ref().unwrap_or(token);
        let revocation = settings.revocation();
        let answer = match revocation {
            Revocation::None => return Ok(false),
            Revocation::Standard(_) => {
                let form = json!({"token": longest.expose()});
                self.post(self.revoke_url()?, form).await?
            }
            Revocation::Bearer(_) => {
                let mut request = self.request(Method::POST, self.revoke_url()?);
                self.bear(&mut request, token)?;
                self.send(request).await?
            }
            Revocation::Delete(path) => {
                let of_app = path.contains("{client_id}");
                let mut url = self.deletion(path, longest)?;
                if settings.data.flow == Flow::Fragment {
                    url.query_pairs_mut().append_pair("key", self.client_id()?).append_pair("token", token.expose());
                }
                let body = of_app.then(|| json!({"access_token": token.expose()}));
                self.of_api(Method::DELETE, url, body, None).await?
            }
        };
        if self.has_ended(revocation, &answer) {
            return Ok(true);
        }
        let status = answer.status;
        if let (404 | 422, Some(path)) = (status.as_u16(), settings.data.check) {
            let checked = self.below_api(Method::GET, path, None, Some(token)).await?;
            if checked.status == StatusCode::UNAUTHORIZED {
                return Ok(true);
            }
        }
        Err(self.lost(match status.as_u16() {
            401 | 403 => format!("it answered {status} to a revocation: `client_id` and `client_secret` may be wrong"),
            _ => format!("it answered {status} to a revocation"),
        }))
    }

    /// Whether an answer to a revocation says that the token is valid no more.
    fn has_ended(&self, revocation: Revocation, answer: &Response) -> bool {
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let error = json.get("error").and_then(Value::as_str).unwrap_or_default();
        // What a provider says of a token that it does not know, or that has ended by itself.
        let is_unknown = matches!(
            error,
            "invalid_token" | "invalid_grant" | "token_revoked" | "token_expired" | "invalid_auth" | "account_inactive"
        );
        match (answer.status.as_u16(), revocation) {
            // Slack answers 200 to what it refuses.
            (200..=299, _) => json.get("ok") != Some(&Value::Bool(false)) || is_unknown,
            (400, Revocation::Standard(_)) => is_unknown,
            // The token itself is what the request was authenticated with.
            (401, Revocation::Bearer(_)) => true,
            (401, Revocation::Delete(_)) if self.settings.data.flow == Flow::Fragment => {
                String::from_utf8_lossy(&answer.body).contains("invalid token")
            }
            _ => false,
        }
    }

    /// Where a token is deleted: below the base of the API, or where the operator says.
    fn deletion(&self, path: &str, token: &Secret) -> Result<Url, OAuthError> {
        let url = match &self.settings.own.revoke_url {
            Some(url) => {
                let url = url.as_str().replace("%7B", "{").replace("%7D", "}");
                let names_token = url.contains("{token}") || !path.contains("{token}");
                if names_token { url } else { format!("{}/{{token}}", url.trim_end_matches('/')) }
            }
            None => format!("{}{path}", self.settings.api_url.as_str().trim_end_matches('/')),
        };
        let token: String = url::form_urlencoded::byte_serialize(token.expose().as_bytes()).collect();
        let url = url.replace("{client_id}", self.client_id()?).replace("{token}", &token);
        Url::parse(&url).map_err(|_| self.lost("its revocation endpoint is no URL"))
    }

    fn revoke_url(&self) -> Result<Url, OAuthError> {
        self.settings.revoke_url.clone().ok_or_else(|| self.lost("its revocation endpoint is not known"))
    }

    fn request(&self, method: Method, url: Url) -> Request {
        let mut request = Request::new(method, url);
        request.timeout = TIMEOUT;
        request.max_response = LARGEST;
        request.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        request
            .headers
            .insert(header::USER_AGENT, HeaderValue::from_static(concat!("connectors/", env!("CARGO_PKG_VERSION"))));
        request
    }

    fn bear(&self, request: &mut Request, token: &Secret) -> Result<(), OAuthError> {
        self.authorize(request, &format!("Bearer {}", token.expose()))
    }

    fn authorize(&self, request: &mut Request, value: &str) -> Result<(), OAuthError> {
        let mut value = HeaderValue::try_from(value).map_err(|_| self.lost("a token that no header can hold"))?;
        value.set_sensitive(true);
        request.headers.insert(header::AUTHORIZATION, value);
        Ok(())
    }

    fn basic(&self, request: &mut Request) -> Result<(), OAuthError> {
        let secret = self.settings.client_secret.as_ref().map(Secret::expose).unwrap_or_default();
        let value = format!("Basic {}", STANDARD.encode(format!("{}:{secret}", self.client_id()?)));
        self.authorize(request, &value)
    }

    /// The same below the base of the API.
    async fn below_api(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        token: Option<&Secret>,
    ) -> Result<Response, OAuthError> {
        let base = self.settings.api_url.as_str().trim_end_matches('/');
        let url = Url::parse(&format!("{base}{path}")).map_err(|_| self.lost("the base of its API is no URL"))?;
        self.of_api(method, url, body, token).await
    }

    /// A request to the API: with a token, or as the app.
    async fn of_api(
        &self,
        method: Method,
        url: Url,
        body: Option<Value>,
        token: Option<&Secret>,
    ) -> Result<Response, OAuthError> {
        let mut request = self.request(method, url);
        match token {
            Some(token) => self.bear(&mut request, token)?,
            None if self.settings.client_secret.is_some() => self.basic(&mut request)?,
            None => {}
        }
        if let Some(body) = body {
            request.body = body.to_string().into();
            request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        self.send(request).await
    }

    /// A request to an endpoint that authenticates the client as the token endpoint does.
    async fn post(&self, url: Url, fields: Value) -> Result<Response, OAuthError> {
        let mut request = self.request(Method::POST, url);
        let mut fields = fields;
        let secret = self.settings.client_secret.as_ref();
        match (self.settings.data.client, fields.as_object_mut()) {
            (ClientAuthentication::Body, Some(fields)) => {
                fields.insert("client_id".to_owned(), self.client_id()?.into());
                if let Some(secret) = secret {
                    fields.insert("client_secret".to_owned(), secret.expose().into());
                }
            }
            _ => self.basic(&mut request)?,
        }
        let (body, media_type) = match self.settings.data.encoding {
            Encoding::Json => (fields.to_string(), "application/json"),
            Encoding::Form => {
                let pairs = fields.as_object().into_iter().flatten();
                let pairs = pairs.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
                let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
                (form, "application/x-www-form-urlencoded")
            }
        };
        request.body = body.into();
        request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        self.send(request).await
    }

    /// Sends a request to this very URL: a redirect would carry the secrets elsewhere.
    async fn send(&self, request: Request) -> Result<Response, OAuthError> {
        let mut rules = UrlRules::default();
        rules.push_base(&request.url);
        // The path of some URLs holds a token, so the error is not shown whole.
        self.network.send(request, &rules).await.map_err(|error| self.lost(reason(&error)))
    }

    async fn carry(&self, request: HttpRequest) -> Result<HttpResponse, OAuthError> {
        let (parts, body) = request.into_parts();
        let url = Url::parse(&parts.uri.to_string()).map_err(|_| self.lost("its token endpoint is no URL"))?;
        let mut outgoing = self.request(parts.method, url);
        for (name, value) in &parts.headers {
            let mut value = value.clone();
            value.set_sensitive(*name == header::AUTHORIZATION);
            outgoing.headers.insert(name.clone(), value);
        }
        if self.settings.data.encoding == Encoding::Json {
            let fields = url::form_urlencoded::parse(&body);
            let fields: Map<_, _> = fields.map(|(name, value)| (name.into_owned(), Value::from(value))).collect();
            outgoing.body = Value::from(fields).to_string().into();
            outgoing.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        } else {
            outgoing.body = body.into();
        }
        let response = self.send(outgoing).await?;
        if response.status.is_server_error() || response.status == StatusCode::TOO_MANY_REQUESTS {
            return Err(self.lost(format!("it answered {}", response.status)));
        }
        let Ok(Value::Object(fields)) = serde_json::from_slice::<Value>(&response.body) else {
            return Err(self.lost(format!("it answered {} with what is no JSON object", response.status)));
        };
        let (status, fields) = self.standard(response.status.as_u16(), fields)?;
        let mut answer = HttpResponse::new(Value::from(fields).to_string().into_bytes());
        *answer.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::BAD_GATEWAY);
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(answer)
    }

    /// An answer in the form of RFC 6749 5.1 and 5.2.
    fn standard(&self, status: u16, mut fields: Map<String, Value>) -> Result<(u16, Map<String, Value>), OAuthError> {
        // A field that is null, and a token that is empty, are as good as left out.
        let is_left_out = |name: &str, value: &Value| value.is_null() || (name == "refresh_token" && *value == "");
        fields.retain(|name, value| !is_left_out(name, value));
        if let Some(error) = fields.get("error").cloned() {
            // GitHub and Slack answer 200 to what they refuse.
            let error = match error {
                Value::String(error) => error,
                other => other.get("type").and_then(Value::as_str).unwrap_or("error").to_owned(),
            };
            fields.insert("error".to_owned(), error.into());
            fields.retain(|name, value| matches!(name.as_str(), "error" | "error_description") && value.is_string());
            return Ok((if status < 400 { 400 } else { status }, fields));
        }
        if status >= 400 {
            // Notion and HubSpot name the error otherwise.
            let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
            let error = text("code").or_else(|| text("status")).unwrap_or_else(|| format!("http_{status}"));
            let error = if error == "BAD_REFRESH_TOKEN" { "invalid_grant".to_owned() } else { error };
            let mut standard = Map::new();
            standard.insert("error".to_owned(), error.into());
            standard.extend(text("message").map(|text| ("error_description".to_owned(), text.into())));
            return Ok((status, standard));
        }
        let whole = Value::Object(fields.clone());
        let user = self.settings.data.answer.user.and_then(|pointer| whole.pointer(pointer));
        if let Some(Value::Object(user)) = user.filter(|user| user.get("access_token").is_some()) {
            for name in ["access_token", "refresh_token", "expires_in", "scope", "token_type"] {
                fields.remove(name);
                let value = user.get(name).filter(|value| !is_left_out(name, value));
                fields.extend(value.map(|value| (name.to_owned(), value.clone())));
            }
        }
        // A token of a type that is not understood must not be used (RFC 6749 7.1).
        let known = |kind: &str| kind.eq_ignore_ascii_case("bearer") || self.settings.data.token_types.contains(&kind);
        match fields.get("token_type") {
            None => {}
            Some(Value::String(kind)) if known(kind) => {}
            Some(Value::String(kind)) => {
                let kind: String = kind.chars().filter(char::is_ascii_graphic).take(40).collect();
                return Err(self.lost(format!("its token is of the type `{kind}`, and not a bearer token")));
            }
            Some(_) => return Err(self.lost("its answer is not as expected at `token_type`")),
        }
        fields.insert("token_type".to_owned(), "bearer".into());
        let scope = match fields.get("scope") {
            Some(Value::String(scope)) => Some(scope.replace(',', " ")),
            Some(Value::Array(scopes)) => Some(scopes.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")),
            _ => None,
        };
        fields.remove("scope");
        fields.extend(scope.map(|scope| ("scope".to_owned(), scope.into())));
        let seconds = match fields.get("expires_in") {
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(Value::Number(number)) => number.as_f64(),
            _ => None,
        };
        fields.remove("expires_in");
        let seconds = seconds.map(|seconds: f64| seconds as u64).filter(|seconds| *seconds > 0);
        fields.extend(seconds.map(|seconds| ("expires_in".to_owned(), seconds.into())));
        Ok((status, fields))
    }

    fn credential(
        &self,
        answered: Result<Answered, RequestTokenError<OAuthError, BasicErrorResponse>>,
        asked: &[String],
    ) -> Result<Credential, OAuthError> {
        let provider = self.settings.id;
        let answered = answered.map_err(|error| match error {
            RequestTokenError::ServerResponse(refused) => OAuthError::Refused {
                provider,
                error: refused.error().to_string(),
                description: refused.error_description().cloned(),
            },
            RequestTokenError::Request(error) => error,
            // The answer itself stays out of it: it may hold half of a token.
            RequestTokenError::Parse(error, _) => {
                self.lost(format!("its answer is not as expected at `{}`", error.path()))
            }
            RequestTokenError::Other(reason) => self.lost(reason),
        })?;
        let token = answered.access_token().secret();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(self.lost("its access token is empty, or holds what no header can"));
        }
        let mut credential = Credential::new(Secret::new(token.clone()));
        credential.refresh_token = answered.refresh_token().map(|token| Secret::new(token.secret().clone()));
        if let Some(life) = answered.expires_in().and_then(|life| SignedDuration::try_from(life).ok()) {
            credential.expires_at = self.now.checked_add(life).ok();
            let early = (life / 10).min(EARLY);
            credential.refresh_at = credential.expires_at.and_then(|at| at.checked_sub(early).ok());
        }
        let said: Option<Vec<String>> =
            answered.scopes().map(|scopes| scopes.iter().map(|scope| scope.to_string()).collect());
        // An empty list is what providers without scopes say.
        let said = said.filter(|said| !said.is_empty() || asked.is_empty());
        credential.scopes = said.map(|said| self.settings.granted(asked, &said));
        credential.asked_scopes = asked.to_vec();
        let Beside(fields) = answered.extra_fields();
        let claims = fields.get("id_token").and_then(Value::as_str).and_then(|token| self.claims(token));
        let whole = Value::Object(fields.clone());
        let answer = &self.settings.data.answer;
        let first = |pointers: &[&str]| {
            let mut found = pointers.iter().filter_map(|pointer| whole.pointer(pointer));
            found
                .find_map(|value| value.as_str().map(str::to_owned).or_else(|| value.as_i64().map(|id| id.to_string())))
        };
        credential.tenant = answer.tenant.and_then(|pointer| first(&[pointer]));
        let claim = |name: &str| Some(claims.as_ref()?.get(name)?.as_str()?.to_owned());
        credential.account_id = first(answer.account_id).or_else(|| claim("sub"));
        credential.account_name = first(answer.account_name).or_else(|| claim("email")).or_else(|| claim("name"));
        let extra: Map<_, _> =
            answer.extra.iter().filter_map(|name| Some(((*name).to_owned(), fields.get(*name)?.clone()))).collect();
        if !extra.is_empty() {
            credential.extra = extra.into();
        }
        Ok(credential)
    }

    /// What an ID token says. It came from the token endpoint itself, over TLS, so its signature adds
    /// nothing (OpenID Connect Core 1.0 3.1.3.7); that it is for this client is checked.
    fn claims(&self, token: &str) -> Option<Map<String, Value>> {
        let payload = token.split('.').nth(1)?;
        let claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        let Value::Object(claims) = claims else { return None };
        let client_id = self.settings.client_id.as_deref()?;
        let audience = match claims.get("aud")? {
            Value::String(audience) => audience == client_id,
            Value::Array(audiences) => audiences.iter().any(|audience| audience == client_id),
            _ => false,
        };
        audience.then_some(claims)
    }

    /// The settings with the endpoints of the issuer's discovery document (OpenID Connect Discovery 1.0 4).
    pub(super) async fn discover(&self) -> Result<Settings, OAuthError> {
        let settings = &*self.settings;
        let Some(issuer) = settings.issuer.as_deref().filter(|_| settings.discovers) else {
            return Ok(settings.clone());
        };
        let url = Url::parse(&format!("{issuer}/.well-known/openid-configuration"))
            .map_err(|_| self.lost("its issuer is no URL"))?;
        let response = self.send(self.request(Method::GET, url)).await?;
        let document: Map<String, Value> = serde_json::from_slice(&response.body)
            .map_err(|_| self.lost(format!("its discovery document is no JSON object ({})", response.status)))?;
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        // Else another could answer in the issuer's name (OpenID Connect Discovery 1.0 4.3).
        if text("issuer").map(|said| said.trim_end_matches('/')) != Some(issuer) {
            return Err(self.lost(format!("its discovery document is not that of {issuer}")));
        }
        let url = |name: &str| text(name).and_then(|url| Url::parse(url).ok());
        let mut found = settings.clone();
        found.discovers = false;
        let own = settings.own.clone();
        found.authorize_url = own.authorize_url.or_else(|| url("authorization_endpoint")).or(found.authorize_url);
        found.token_url = own.token_url.or_else(|| url("token_endpoint")).or(found.token_url);
        found.revoke_url = own.revoke_url.or_else(|| url("revocation_endpoint")).or(found.revoke_url);
        found.names_itself =
            document.get("authorization_response_iss_parameter_supported").and_then(Value::as_bool).unwrap_or_default();
        let methods = document.get("token_endpoint_auth_methods_supported").and_then(Value::as_array);
        let takes = |method: &str| methods.is_some_and(|methods| methods.iter().any(|known| known == method));
        if takes("client_secret_post") && !takes("client_secret_basic") {
            found.data.client = ClientAuthentication::Body;
        }
        Ok(found)
    }
}

/// What went wrong, without a URL.
fn reason(error: &TransportError) -> String {
    match error {
        TransportError::NotDeclared { .. } => "it redirects elsewhere".to_owned(),
        TransportError::Timeout { limit, .. } => format!("it did not answer within {} s", limit.as_secs()),
        TransportError::TooLarge { .. } => "its answer is too large".to_owned(),
        TransportError::TooManyRedirects { .. } => "it redirects too often".to_owned(),
        TransportError::NoConnection { reason, .. } => format!("it cannot be reached: {reason}"),
        TransportError::Connection { reason, .. } => format!("the connection failed: {reason}"),
        other => other.to_string(),
    }
}
