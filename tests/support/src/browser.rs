//! As much of a browser as authorizing an account takes: it keeps cookies as their attributes say, opens the page of
//! the host, and posts its form. Who sends its requests is the test's, as some hosts are routers and others processes.

use std::collections::BTreeMap;

use http::{HeaderMap, Method, Request, Response, header};
use url::Url;

/// Where a request comes from, as `Sec-Fetch-Site` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// The user has typed the address, or followed a link of a mail.
    None,
    /// A page of the same origin.
    SameOrigin,
    /// A page of another site.
    CrossSite,
}

/// A browser with its cookies.
#[derive(Debug, Default, Clone)]
pub struct Browser {
    /// By origin and name: the value, and whether it goes over HTTPS alone.
    cookies: BTreeMap<(String, String), (String, bool)>,
    is_old: bool,
}

impl Browser {
    /// One of the time before `Sec-Fetch-Site` and `Origin`.
    pub fn old() -> Self {
        Self { is_old: true, ..Self::default() }
    }

    /// The values of all cookies.
    pub fn cookies(&self) -> Vec<String> {
        self.cookies.values().map(|(value, _)| value.clone()).collect()
    }

    /// The names of all cookies.
    pub fn cookie_names(&self) -> Vec<String> {
        self.cookies.keys().map(|(_, name)| name.clone()).collect()
    }

    /// A request as the browser sends it; `form` is the body of a POST.
    pub fn request(&self, method: Method, url: &Url, site: Site, form: String) -> Request<String> {
        let mut request = Request::builder().method(method.clone()).uri(url.as_str());
        request = request.header(header::ACCEPT, "text/html,application/xhtml+xml");
        let is_post = method == Method::POST;
        if !self.is_old {
            let site = match site {
                Site::None => "none",
                Site::SameOrigin => "same-origin",
                Site::CrossSite => "cross-site",
            };
            request = request.header("sec-fetch-site", site);
            if is_post {
                // The page has `Referrer-Policy: no-referrer`.
                request = request.header(header::ORIGIN, "null");
            }
        }
        if is_post {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        // All cookies of the host have `SameSite=Lax`: another site's form comes without them.
        let origin = url.origin().ascii_serialization();
        let sent = self.cookies.iter().filter(|((of, _), (_, secure))| {
            *of == origin && (!secure || url.scheme() == "https") && !(is_post && site == Site::CrossSite)
        });
        let cookies: Vec<_> = sent.map(|((_, name), (value, _))| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies.join("; "));
        }
        request.body(form).expect("a request")
    }

    /// Keeps the cookies of an answer. One that a browser would not take fails the test.
    pub fn keep(&mut self, url: &Url, headers: &HeaderMap) {
        for cookie in headers.get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().expect("text");
            let (pair, attributes) = cookie.split_once(';').expect("attributes");
            let attributes: Vec<_> = attributes.split(';').map(str::trim).collect();
            let has = |wanted: &str| attributes.iter().any(|attribute| attribute.eq_ignore_ascii_case(wanted));
            let (name, value) = pair.split_once('=').expect("a value");
            let secure = has("Secure");
            assert!(!secure || url.scheme() == "https", "a browser takes no secure cookie over HTTP: {cookie}");
            assert!(has("HttpOnly") && has("SameSite=Lax") && has("Path=/"), "{cookie}");
            assert_eq!(name.starts_with("__Host-"), url.scheme() == "https", "{cookie}");
            assert!(!name.starts_with("__Host-") || (secure && !cookie.to_ascii_lowercase().contains("domain")));
            let key = (url.origin().ascii_serialization(), name.to_owned());
            match has("Max-Age=0") {
                true => drop(self.cookies.remove(&key)),
                false => drop(self.cookies.insert(key, (value.to_owned(), secure))),
            }
        }
    }

    /// Sends a request, and keeps the cookies of its answer.
    pub async fn send(
        &mut self,
        sender: &mut impl AsyncFnMut(Request<String>) -> Response<String>,
        request: Request<String>,
    ) -> Response<String> {
        let url = Url::parse(&request.uri().to_string()).expect("a URL");
        let response = sender(request).await;
        self.keep(&url, response.headers());
        response
    }

    /// Opens a page.
    pub async fn open(
        &mut self,
        sender: &mut impl AsyncFnMut(Request<String>) -> Response<String>,
        url: &str,
        site: Site,
    ) -> Response<String> {
        let request = self.request(Method::GET, &Url::parse(url).expect("a URL"), site, String::new());
        self.send(sender, request).await
    }

    /// Presses the button of the page at this URL.
    pub async fn submit(
        &mut self,
        sender: &mut impl AsyncFnMut(Request<String>) -> Response<String>,
        url: &str,
        page: &str,
    ) -> Response<String> {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields(page)).finish();
        let request = self.request(Method::POST, &Url::parse(url).expect("a URL"), Site::SameOrigin, form);
        self.send(sender, request).await
    }

    /// Opens the page of an authorization and confirms there: the page of the provider that the browser is sent to.
    pub async fn authorize(
        &mut self,
        sender: &mut impl AsyncFnMut(Request<String>) -> Response<String>,
        authorize_url: &str,
    ) -> String {
        let page = self.open(sender, authorize_url, Site::None).await;
        assert_eq!(page.status(), 200, "{}", page.body());
        let sent = self.submit(sender, authorize_url, page.body()).await;
        assert_eq!(sent.status(), 303, "{}", sent.body());
        sent.headers()[header::LOCATION].to_str().expect("a URL").to_owned()
    }
}

/// The fields of the form of a page.
pub fn fields(page: &str) -> Vec<(String, String)> {
    let attribute = |input: &str, name: &str| {
        let value = input.split_once(&format!(" {name}=\"")).and_then(|(_, rest)| rest.split_once('"'))?.0;
        Some(value.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    };
    let form = page.split_once("<form method=\"post\">").and_then(|(_, rest)| rest.split_once("</form>"));
    let inputs = form.expect("a form").0.split("<input").skip(1).filter_map(|input| input.split('>').next());
    inputs
        .filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value").unwrap_or_default())))
        .collect()
}
