//! The client of the host against servers on the loopback interface.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use connector_core::clock::BoxFuture;
use connector_core::network::{NetworkPort, Request, Response, TransportError, UrlRules};
use connector_host::network::{HttpClient, Names};
use futures_util::TryStreamExt;
use http::{HeaderName, HeaderValue, Method};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

type Outcome = Result<Response, TransportError>;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What a server does with a request.
#[derive(Clone)]
enum Answer {
    /// Sends this, then goes on with the connection.
    Whole(String),
    /// The same, with bytes that are no text.
    Bytes(Vec<u8>),
    /// Sends this and closes the connection.
    Partly(String),
    /// Sends this, and then zeros as long as they are taken.
    Endless(String),
    /// Sends this and no more.
    Hang(String),
}

struct Server {
    address: SocketAddr,
    /// The head of each request, in lower case, and its body.
    seen: Arc<Mutex<Vec<String>>>,
    /// How many bytes of endless bodies were taken.
    taken: Arc<Mutex<usize>>,
}

impl Server {
    /// A server that answers a path by what the function makes of it.
    async fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_at((LOOPBACK, 0).into(), answer).await
    }

    async fn start_at(address: SocketAddr, answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let server = Self { address: listener.local_addr().unwrap(), seen: Arc::default(), taken: Arc::default() };
        let (seen, taken, answer) = (Arc::clone(&server.seen), Arc::clone(&server.taken), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, taken, answer) = (Arc::clone(&seen), Arc::clone(&taken), Arc::clone(&answer));
                // A client that goes away ends the connection, which is no concern of the server.
                tokio::spawn(async move { serve(stream, &*answer, &seen, &taken).await.ok() });
            }
        });
        server
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(
    stream: TcpStream,
    answer: &(dyn Fn(&str) -> Answer + Send + Sync),
    seen: &Mutex<Vec<String>>,
    taken: &Mutex<usize>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let path = head.split(' ').nth(1).unwrap().to_owned();
        let head = head.to_ascii_lowercase();
        let length =
            head.split_once("content-length: ").map_or(0, |(_, rest)| rest.lines().next().unwrap().parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        seen.lock().unwrap().push(format!("{head}{}", String::from_utf8(body).unwrap()));
        match answer(&path) {
            Answer::Whole(text) => stream.write_all(text.as_bytes()).await?,
            Answer::Bytes(bytes) => stream.write_all(&bytes).await?,
            Answer::Partly(text) => {
                stream.write_all(text.as_bytes()).await?;
                return stream.shutdown().await;
            }
            Answer::Endless(text) => {
                stream.write_all(text.as_bytes()).await?;
                loop {
                    stream.write_all(&[0; 1 << 16]).await?;
                    *taken.lock().unwrap() += 1 << 16;
                }
            }
            Answer::Hang(text) => {
                stream.write_all(text.as_bytes()).await?;
                std::future::pending::<()>().await;
            }
        }
    }
}

fn ok(body: &str) -> Answer {
    Answer::Whole(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
}

fn redirect(status: u16, location: &str) -> Answer {
    Answer::Whole(format!("HTTP/1.1 {status} X\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"))
}

fn request(method: Method, url: &str) -> Request {
    let mut request = Request::new(method, url.parse().unwrap());
    request.timeout = Duration::from_secs(20);
    request
}

async fn send(client: &HttpClient, request: Request, patterns: &[&str]) -> Outcome {
    client.send(request, &UrlRules::parse(patterns).unwrap()).await
}

async fn get(client: &HttpClient, url: &str) -> Outcome {
    send(client, request(Method::GET, url), &["*"]).await
}

/// R10.2
#[tokio::test]
async fn an_exchange() {
    let server = Server::start(|_| {
        Answer::Whole("HTTP/1.1 404 Not Found\r\nX-A: b\r\ncontent-length: 5\r\n\r\nhello".to_owned())
    })
    .await;
    let client = HttpClient::new(true);
    let mut asked = request(Method::POST, &server.url("/x?y=z"));
    asked.headers.insert("x-c", HeaderValue::from_static("d"));
    asked.body = Bytes::from_static(b"body").into();
    let response = send(&client, asked, &["*"]).await.unwrap();
    assert_eq!((response.status.as_u16(), response.header("x-a"), &response.body[..]), (404, Some("b"), &b"hello"[..]));
    assert_eq!(response.url.as_str(), server.url("/x?y=z"));
    let seen = &server.seen()[0];
    assert!(
        seen.starts_with("post /x?y=z http/1.1\r\n") && seen.contains("x-c: d\r\n") && seen.ends_with("\r\n\r\nbody"),
        "{seen}"
    );

    send(&client, request(Method::POST, &server.url("/")), &["*"]).await.unwrap();
    assert!(server.seen()[1].contains("content-length: 0\r\n"), "{}", server.seen()[1]);
    let head = send(&client, request(Method::HEAD, &server.url("/")), &["*"]).await.unwrap();
    assert_eq!(head.body.len(), 0);
}

/// R10.1
#[tokio::test]
async fn what_is_not_declared_is_not_reached() {
    let server = Server::start(|_| ok("")).await;
    let url = server.url("/v2?token=hidden");
    let error = send(&HttpClient::new(true), request(Method::GET, &url), &[&server.url("/v1/*")]).await.unwrap_err();
    assert!(
        matches!(&error, TransportError::NotDeclared { url } if *url == format!("{}/v2", server.address)),
        "{error:?}"
    );
    assert_eq!(server.seen().len(), 0);
}

/// R10.1: each of the URLs on the way is checked.
#[tokio::test]
async fn redirects_are_followed_where_they_are_declared() {
    let other = Server::start(|_| ok("there")).await;
    let target = other.url("/end");
    let server = Server::start(move |path| match path {
        "/v1/away" => redirect(302, &target),
        "/v1/inside" => redirect(301, "more?x=1"),
        "/v1/out" => redirect(302, "/v2"),
        "/v1/user" => redirect(302, "http://user:word@127.0.0.1/"),
        "/v1/scheme" => redirect(302, "file:///etc/passwd"),
        "/v1/broken" => redirect(302, "http://["),
        "/v1/none" => Answer::Whole("HTTP/1.1 302 X\r\ncontent-length: 0\r\n\r\n".to_owned()),
        _ => ok("here"),
    })
    .await;
    let client = HttpClient::new(true);
    let (here, there) = (server.url("/v1/*"), other.url("/*"));
    let follow =
        async |path: &str, patterns: &[&str]| send(&client, request(Method::GET, &server.url(path)), patterns).await;

    let response = follow("/v1/inside", &[&here]).await.unwrap();
    assert_eq!((response.url.as_str(), &response.body[..]), (&*server.url("/v1/more?x=1"), &b"here"[..]));
    let response = follow("/v1/away", &[&here, &there]).await.unwrap();
    assert_eq!((response.url.as_str(), &response.body[..]), (&*other.url("/end"), &b"there"[..]));

    let before = other.seen().len();
    for (path, says) in [
        ("/v1/away", format!("{}/end", other.address)),
        ("/v1/out", format!("{}/v2", server.address)),
        ("/v1/user", "127.0.0.1/".to_owned()),
        ("/v1/scheme", "/etc/passwd".to_owned()),
    ] {
        let error = follow(path, &[&here]).await.unwrap_err();
        assert!(matches!(&error, TransportError::NotDeclared { url } if *url == says), "{path} {error:?}");
    }
    for path in ["/v1/user", "/v1/scheme"] {
        let error = follow(path, &["*"]).await.unwrap_err();
        assert!(matches!(&error, TransportError::NotDeclared { .. }), "{path} {error:?}");
    }
    assert_eq!(other.seen().len(), before);
    let error = follow("/v1/broken", &[&here]).await.unwrap_err();
    assert!(matches!(&error, TransportError::Connection { reason, .. } if reason.contains("no URL")), "{error:?}");
    assert_eq!(follow("/v1/none", &[&here]).await.unwrap().status, 302);
}

/// R10.1: ten redirects are followed, and one more is not.
#[tokio::test]
async fn redirects_end() {
    let server = Server::start(|path| match path.trim_start_matches('/').parse::<u32>() {
        Ok(0) => ok("end"),
        Ok(left) => redirect(307, &format!("/{}", left - 1)),
        Err(_) => redirect(302, path),
    })
    .await;
    let client = HttpClient::new(true);
    assert_eq!(get(&client, &server.url("/10")).await.unwrap().body, "end");
    for path in ["/11", "/loop"] {
        let error = get(&client, &server.url(path)).await.unwrap_err();
        let first = format!("{}{path}", server.address);
        assert!(matches!(&error, TransportError::TooManyRedirects { url } if *url == first), "{error:?}");
    }
    assert_eq!(server.seen().len(), 33);
}

/// RFC 9110 15.4: which redirects make a GET of a request.
#[tokio::test]
async fn a_redirect_keeps_or_changes_the_method() {
    let server = Server::start(|path| match path.trim_start_matches('/').parse() {
        Ok(status) => redirect(status, "/end"),
        Err(_) => ok(""),
    })
    .await;
    let client = HttpClient::new(true);
    for (status, method, becomes) in [
        (301, Method::POST, "get"),
        (302, Method::POST, "get"),
        (303, Method::POST, "get"),
        (303, Method::PUT, "get"),
        (303, Method::HEAD, "head"),
        (301, Method::PUT, "put"),
        (302, Method::DELETE, "delete"),
        (307, Method::POST, "post"),
        (308, Method::POST, "post"),
        (308, Method::PATCH, "patch"),
        (302, Method::GET, "get"),
    ] {
        let mut asked = request(method.clone(), &server.url(&format!("/{status}")));
        if !matches!(method, Method::GET | Method::HEAD) {
            asked.body = Bytes::from_static(b"body").into();
            asked.headers.insert("content-type", HeaderValue::from_static("text/plain"));
        }
        let sent_with_body = !asked.body.is_empty();
        send(&client, asked, &["*"]).await.unwrap();
        let last = server.seen().pop().unwrap();
        assert!(last.starts_with(&format!("{becomes} /end ")), "{status} {method}: {last}");
        let keeps_body = sent_with_body && becomes != "get";
        assert_eq!(
            (last.ends_with("\r\n\r\nbody"), last.contains("content-type")),
            (keeps_body, keeps_body),
            "{status} {method}: {last}"
        );
    }
}

/// L29: what authorizes at one origin is not told to another.
#[tokio::test]
async fn secrets_do_not_go_along_with_a_redirect_to_another_origin() {
    let other = Server::start(|_| ok("")).await;
    let target = other.url("/there");
    let server = Server::start(move |path| match path {
        "/away" => redirect(307, &target),
        "/home" => redirect(307, "/here"),
        _ => ok(""),
    })
    .await;
    let ask = |path: &str| {
        let mut request = request(Method::GET, &server.url(path));
        for (name, value) in
            [("authorization", "hidden1"), ("cookie", "hidden2"), ("x-api-key", "hidden3"), ("x-version", "7")]
        {
            let mut value = HeaderValue::from_static(value);
            value.set_sensitive(name == "x-api-key");
            request.headers.insert(HeaderName::from_static(name), value);
        }
        request
    };
    let client = HttpClient::new(true);
    send(&client, ask("/away"), &["*"]).await.unwrap();
    send(&client, ask("/home"), &["*"]).await.unwrap();
    let there = &other.seen()[0];
    assert!(!there.contains("hidden") && there.contains("x-version: 7"), "{there}");
    let here = server.seen().pop().unwrap();
    assert!(
        here.starts_with("get /here") && ["hidden1", "hidden2", "hidden3"].iter().all(|secret| here.contains(secret)),
        "{here}"
    );
}

/// R10.1: private addresses in each of their forms, and names that mean one.
#[tokio::test]
async fn private_addresses_are_refused() {
    let server = Server::start(|_| ok("")).await;
    let client = HttpClient::new(false);
    let port = server.address.port();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.1.",
        "127.255.255.254",
        "%31%32%37.0.0.1",
        "１２７.0.0.1",
        "127。0。0。1",
        "0",
        "0.0.0.0",
        "10.0.0.1",
        "0xa.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "3232235521",
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::ffff:a9fe:a9fe]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b::a00:1]",
        "[fe80::1]",
        "[fd00::1]",
        "[fc00::1]",
        "[ff02::1]",
        "[fec0::1]",
        "[2002:7f00:1::]",
        "localhost",
        "LOCALHOST",
    ] {
        for scheme in ["http", "https"] {
            let error = get(&client, &format!("{scheme}://{host}:{port}/?token=hidden")).await.unwrap_err();
            assert!(matches!(&error, TransportError::PrivateAddress { .. }), "{host} {error:?}");
            assert!(!error.to_string().contains("hidden"), "{error}");
        }
    }
    let error = get(&client, &format!("http://localhost:{port}/")).await.unwrap_err().to_string();
    assert!(error.contains("`localhost`") && error.contains("CONNECTORS_NETWORK__ALLOW_PRIVATE"), "{error}");
    assert_eq!(server.seen().len(), 0);

    assert!(get(&HttpClient::new(true), &format!("http://localhost:{port}/")).await.is_ok());
    assert!(get(&HttpClient::allowing([LOOPBACK]), &format!("http://127.0.0.1:{port}/")).await.is_ok());
}

/// R10.1: a server that may be reached does not open the way to one that may not.
#[tokio::test]
async fn a_redirect_to_a_private_address_is_refused() {
    let hidden = Server::start(|_| ok("secret")).await;
    let port = hidden.address.port();
    let server = Server::start(|path| redirect(302, path.trim_start_matches('/'))).await;
    let client = HttpClient::allowing([LOOPBACK]);
    for target in [
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://10.0.0.1/".to_owned(),
        "https://192.168.1.1/".to_owned(),
        format!("http://[::1]:{port}/"),
        format!("http://127.0.0.2:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
    ] {
        let error = get(&client, &server.url(&format!("/{target}"))).await.unwrap_err();
        assert!(matches!(&error, TransportError::PrivateAddress { .. }), "{target} {error:?}");
    }
    assert_eq!(hidden.seen().len(), 0);
}

/// Names that mean something else each time that they are looked up.
#[derive(Clone, Default)]
struct Changing {
    answers: Arc<Mutex<VecDeque<Vec<IpAddr>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Changing {
    fn new(answers: impl IntoIterator<Item = Vec<IpAddr>>) -> Self {
        Self { answers: Arc::new(Mutex::new(answers.into_iter().collect())), asked: Arc::default() }
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

impl Names for Changing {
    fn look_up<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Vec<IpAddr>> {
        self.asked.lock().unwrap().push(host.to_owned());
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or_default();
        Box::pin(std::future::ready(answer))
    }
}

/// Stands for an address of a private network in these tests, as `LOOPBACK` stands for a public one.
const HIDDEN: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// R10.1: a name that means a public address when it is checked, and a private one when it is used: what was
/// checked is what is connected to.
#[tokio::test]
async fn a_name_that_changes_between_check_and_use_leads_to_what_was_checked() {
    let server = Server::start(|_| ok("public")).await;
    let port = server.address.port();
    let hidden = Server::start_at((HIDDEN, port).into(), |_| ok("private")).await;
    let names = Changing::new([vec![LOOPBACK], vec![HIDDEN], vec![HIDDEN]]);
    let client = HttpClient::allowing([LOOPBACK]).names(names.clone());
    let url = format!("http://rebinds.test:{port}/");
    assert_eq!(get(&client, &url).await.unwrap().body, "public");
    assert_eq!(names.asked(), 1, "it is looked up once, for the check and for the connection");
    // The connection is kept, and another name is none of its business.
    assert_eq!(get(&client, &url).await.unwrap().body, "public");
    assert_eq!(names.asked(), 1);
    assert_eq!(hidden.seen().len(), 0);
}

/// R10.1: each new connection is checked anew, also the one of a redirect to the same name.
#[tokio::test]
async fn a_name_that_changes_is_checked_for_each_connection() {
    let closing = |head: &str| Answer::Partly(format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n"));
    let server = Server::start(move |path| match path {
        "/away" => closing("302 X\r\ncontent-length: 0\r\nlocation: /home"),
        _ => closing("200 OK\r\ncontent-length: 0"),
    })
    .await;
    let port = server.address.port();
    let hidden = Server::start_at((HIDDEN, port).into(), |_| ok("private")).await;
    for path in ["/home", "/away"] {
        let names = Changing::new([vec![LOOPBACK], vec![HIDDEN]]);
        let client = HttpClient::allowing([LOOPBACK]).names(names.clone());
        let url = format!("http://rebinds.test:{port}{path}");
        if path == "/home" {
            get(&client, &url).await.unwrap();
        }
        let error = get(&client, &url).await.unwrap_err();
        let refused = matches!(&error, TransportError::PrivateAddress { host, .. } if host == "rebinds.test");
        assert!(refused, "{path} {error:?}");
        assert_eq!(names.asked(), 2, "{path}");
    }
    assert_eq!(hidden.seen().len(), 0);
}

/// R10.1: of the addresses of a name, a private one is not tried, whatever becomes of the others.
#[tokio::test]
async fn a_name_with_a_private_address_among_others_does_not_lead_there() {
    let server = Server::start(|_| ok("public")).await;
    let port = server.address.port();
    let hidden = Server::start_at((HIDDEN, port).into(), |_| ok("private")).await;
    let other = TcpListener::bind((HIDDEN, 0)).await.unwrap().local_addr().unwrap().port();
    let names = Changing::new([vec![HIDDEN, LOOPBACK], vec![LOOPBACK, HIDDEN], vec![HIDDEN, HIDDEN]]);
    let client = HttpClient::allowing([LOOPBACK]).names(names);
    assert_eq!(get(&client, &format!("http://mixed.test:{port}/")).await.unwrap().body, "public");
    // Nobody listens at the public one.
    let error = get(&client, &format!("http://mixed.test:{other}/")).await.unwrap_err();
    assert!(matches!(&error, TransportError::NoConnection { .. }), "{error:?}");
    let error = get(&client, &format!("http://other.test:{port}/")).await.unwrap_err();
    assert!(matches!(&error, TransportError::PrivateAddress { .. }), "{error:?}");
    assert_eq!(hidden.seen().len(), 0);
}

/// R10.1: what only looks like what is declared is not reached, and not even looked up.
#[tokio::test]
async fn what_looks_like_what_is_declared_is_not_reached() {
    let names = Changing::default();
    let client = HttpClient::new(false).names(names.clone());
    let declared = ["https://api.example.com/v1/*", "https://*.parts.example.com"];
    for url in [
        // Who is before the host is not the host.
        "https://api.example.com@evil.test/v1/x",
        "https://api.example.com:443@evil.test/v1/x",
        "https://user:word@api.example.com/v1/x",
        "https://evil.test#@api.example.com/v1/x",
        "https://evil.test?@api.example.com/v1/x",
        "https://evil.test\\@api.example.com/v1/x",
        "https://api.example.com%2eevil.test/v1/x",
        // Other names.
        "https://api.example.com.evil.test/v1/x",
        "https://api.example.com./v1/x",
        "https://evilapi.example.com/v1/x",
        "https://api.example.comevil.test/v1/x",
        "https://xn--pi-example-5ea.com/v1/x",
        "https://\u{430}pi.example.com/v1/x",
        "https://parts.example.com.evil.test/",
        "https://a.parts.example.com.evil.test/",
        // Other places of the same host.
        "http://api.example.com/v1/x",
        "https://api.example.com:8443/v1/x",
        "https://api.example.com/v2/x",
        "https://api.example.com/v1/../admin",
        "https://api.example.com/v1/%2e%2e/admin",
        "https://api.example.com/v1\\..\\admin",
        "https://api.example.com//v1/x",
        // Addresses in all of their forms, though they are none of those that are declared.
        "https://127.0.0.1/v1/x",
        "https://2130706433/v1/x",
        "https://0x7f.1/v1/x",
        "https://0177.0.0.01/v1/x",
        "https://[::ffff:127.0.0.1]/v1/x",
        "https://[::1]/v1/x",
    ] {
        let Ok(parsed) = url.parse() else { continue };
        let request = Request::new(Method::GET, parsed);
        let error = send(&client, request, &declared).await.unwrap_err();
        assert!(matches!(&error, TransportError::NotDeclared { .. }), "{url} {error:?}");
    }
    // No URL at all: zones of addresses, and names that are none.
    for url in ["https://[fe80::1%25eth0]/v1/x", "https://[fe80::1%eth0]/v1/x", "https://[::1/v1/x", "https://a b/v1/x"]
    {
        assert!(url.parse::<url::Url>().is_err(), "{url}");
    }
    assert_eq!(names.asked(), 0);
    for url in ["https://api.example.com/v1/x", "https://API.EXAMPLE.COM/v1/x", "https://a.parts.example.com/"] {
        let error = send(&client, Request::new(Method::GET, url.parse().unwrap()), &declared).await.unwrap_err();
        assert!(matches!(&error, TransportError::NoSuchHost { .. }), "{url} {error:?}");
    }
    assert_eq!(names.asked(), 3);
}

/// R10.2: a body is cut off at the limit, whether the service says its size or not, and the rest is not read.
#[tokio::test]
async fn a_body_that_is_too_large_is_not_read() {
    let ten_gigabytes = 10_u64 << 30;
    let server = Server::start(move |path| match path {
        "/said" => Answer::Endless(format!("HTTP/1.1 200 OK\r\ncontent-length: {ten_gigabytes}\r\n\r\n")),
        "/unsaid" => Answer::Endless("HTTP/1.1 200 OK\r\n\r\n".to_owned()),
        "/chunked" => Answer::Endless("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n280000000\r\n".to_owned()),
        "/eleven" => ok("hello world"),
        _ => Answer::Whole(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n".to_owned(),
        ),
    })
    .await;
    let client = HttpClient::new(true);
    for path in ["/said", "/unsaid", "/chunked"] {
        let mut asked = request(Method::GET, &server.url(path));
        asked.max_response = 1 << 20;
        let error = send(&client, asked, &["*"]).await.unwrap_err();
        assert!(matches!(&error, TransportError::TooLarge { limit, .. } if *limit == 1 << 20), "{path} {error:?}");
    }
    // What else was taken is in the buffers of the sockets.
    assert!(*server.taken.lock().unwrap() < 64 << 20);

    for path in ["/eleven", "/chunks"] {
        for (limit, fits) in [(10, false), (11, true), (usize::MAX, true)] {
            let mut asked = request(Method::GET, &server.url(path));
            asked.max_response = limit;
            let outcome = send(&client, asked, &["*"]).await;
            assert_eq!(
                outcome.as_ref().ok().map(|response| &response.body[..]),
                fits.then_some(&b"hello world"[..]),
                "{path} {limit} {outcome:?}"
            );
        }
    }
}

/// R10.2: what is not whole is no response.
#[tokio::test]
async fn a_body_that_is_cut_off_is_an_error() {
    let server = Server::start(|path| {
        Answer::Partly(
            match path {
                "/length" => "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"a\":",
                "/chunked" => "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n64\r\n{\"a\":",
                "/last" => "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
                "/head" => "HTTP/1.1 200 OK\r\ncontent-le",
                "/garbage" => "\u{0}\u{1} no HTTP\r\n\r\n",
                _ => "",
            }
            .to_owned(),
        )
    })
    .await;
    let client = HttpClient::new(true);
    for path in ["/length", "/chunked", "/last", "/head", "/garbage", "/nothing"] {
        let error = get(&client, &server.url(&format!("{path}?token=hidden"))).await.unwrap_err();
        let url = format!("{}{path}", server.address);
        assert!(matches!(&error, TransportError::Connection { url: at, .. } if *at == url), "{error:?}");
        assert!(!format!("{error:?}").contains("hidden"), "{error:?}");
    }
}

/// R9.1, R10.2: a body that is streamed is read as it is asked for, up to its limit, and each piece in its time.
#[tokio::test]
async fn a_streamed_body_is_read_as_it_is_asked_for() {
    let server = Server::start(|path| match path {
        "/endless" => Answer::Endless("HTTP/1.1 200 OK\r\n\r\n".to_owned()),
        "/said" => Answer::Endless(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 65 << 20)),
        _ => Answer::Hang("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello".to_owned()),
    })
    .await;
    let client = HttpClient::new(true);
    let rules = UrlRules::parse(&["*"]).unwrap();
    let open = async |path: &str, timeout| {
        let mut asked = request(Method::GET, &server.url(path));
        (asked.max_response, asked.timeout) = (64 << 20, timeout);
        client.open(asked, &rules).await
    };
    let long = Duration::from_secs(20);
    let mut opened = open("/endless", long).await.unwrap();
    assert_eq!(opened.head.status, 200);
    assert!(!opened.body.try_next().await.unwrap().unwrap().is_empty());
    // What else was taken is in the buffers of the sockets.
    assert!(*server.taken.lock().unwrap() < 32 << 20);
    let error = loop {
        match opened.body.try_next().await {
            Ok(piece) => assert!(piece.is_some(), "it has no end"),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains(&(64 << 20).to_string()), "{error}");
    assert!(matches!(open("/said", long).await, Err(TransportError::TooLarge { .. })));
    let mut hangs = open("/hangs", Duration::from_millis(200)).await.unwrap();
    assert_eq!(hangs.body.try_next().await.unwrap().unwrap(), "hello");
    assert!(hangs.body.try_next().await.unwrap_err().to_string().contains("did not answer within 200ms"));
}

/// R10.2: the time counts until the whole response is there, over all redirects.
#[tokio::test]
async fn a_service_that_does_not_answer_in_time() {
    let server = Server::start(|path| match path {
        "/redirect" => redirect(302, "/silent"),
        "/head" => Answer::Hang("HTTP/1.1 200 OK\r\n".to_owned()),
        "/body" => Answer::Hang("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello".to_owned()),
        _ => Answer::Hang(String::new()),
    })
    .await;
    let client = HttpClient::new(true);
    for path in ["/silent", "/head", "/body", "/redirect"] {
        let mut asked = request(Method::GET, &server.url(path));
        asked.timeout = Duration::from_millis(200);
        let error = send(&client, asked, &["*"]).await.unwrap_err();
        assert_eq!(error.to_string(), format!("`{}{path}` did not answer within 200ms", server.address));
    }
}

/// R10.2: what could not be sent is told apart from what was.
#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    let free = TcpListener::bind((LOOPBACK, 0)).await.unwrap().local_addr().unwrap();
    let client = HttpClient::new(true);
    let error = get(&client, &format!("http://{free}/x?token=hidden")).await.unwrap_err();
    assert!(
        matches!(&error, TransportError::NoConnection { url, reason } if *url == format!("{free}/x") && reason.contains("refused")),
        "{error:?}"
    );
    // No name server is asked for a label of more than 63 characters.
    let name = format!("{}.invalid", "a".repeat(64));
    let error = get(&client, &format!("http://{name}/x")).await.unwrap_err();
    assert!(matches!(&error, TransportError::NoSuchHost { host } if *host == name), "{error:?}");

    let plain = Server::start(|_| ok("")).await;
    let error = get(&client, &plain.url("/x").replace("http:", "https:")).await.unwrap_err();
    assert!(matches!(&error, TransportError::NoConnection { .. }), "{error:?}");
}

/// Connections are used again, and a server that has closed one in between is no error.
#[tokio::test]
async fn connections_are_kept() {
    let server = Server::start(|_| ok("hello")).await;
    let client = HttpClient::new(true);
    for _ in 0..3 {
        assert_eq!(get(&client, &server.url("/")).await.unwrap().body, "hello");
    }
    let closing =
        Server::start(|_| Answer::Partly("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello".to_owned())).await;
    for _ in 0..5 {
        assert_eq!(get(&client, &closing.url("/")).await.unwrap().body, "hello");
    }
}

/// An answer with a packed body.
fn packed(encoding: &str, body: &str) -> Answer {
    let body: Vec<u8> =
        (0..body.len()).step_by(2).map(|at| u8::from_str_radix(&body[at..at + 2], 16).unwrap()).collect();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ncontent-length: {}\r\n\r\n", body.len());
    Answer::Bytes([head.as_bytes(), &body].concat())
}

/// `{"hello":"wörldwörldwörld"}` in Zstandard, in a raw block (RFC 8878).
fn zstd(text: &str) -> String {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x50];
    frame.extend_from_slice(&u32::try_from(text.len() << 3 | 1).unwrap().to_le_bytes()[..3]);
    frame.extend_from_slice(text.as_bytes());
    frame.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// R10.9: compressed answers are asked for, and read like others, whole and streamed.
#[tokio::test]
async fn compressed_answers_are_unpacked() {
    const TEXT: &str = r#"{"hello":"wörldwörldwörld"}"#;
    let server = Server::start(|path| match path {
        "/gzip" => packed("gzip", "1f8b0800000000000003ab56ca48cdc9c957b2522a3fbcad2827059954aa05001e36204f1e000000"),
        "/deflate" => packed("deflate", "789cab56ca48cdc9c957b2522a3fbcad2827059954aa0500c4a30d65"),
        "/br" => packed("br", "8b0e807b2268656c6c6f223a2277c3b6726c6477c3b6726c6477c3b6726c64227d03"),
        "/zstd" => packed("zstd", &zstd(TEXT)),
        "/identity" => packed("identity", &TEXT.bytes().map(|byte| format!("{byte:02x}")).collect::<String>()),
        _ => ok(TEXT),
    })
    .await;
    let client = HttpClient::new(true);
    for path in ["/gzip", "/deflate", "/br", "/zstd", "/identity", "/plain"] {
        let response = get(&client, &server.url(path)).await.unwrap();
        assert_eq!(std::str::from_utf8(&response.body).unwrap(), TEXT, "{path}");
        let rules = UrlRules::parse(&["*"]).unwrap();
        let opened = client.open(request(Method::GET, &server.url(path)), &rules).await.unwrap();
        let body: Vec<Bytes> = opened.body.try_collect().await.unwrap();
        assert_eq!(body.concat(), TEXT.as_bytes(), "{path}");
    }
    let seen = server.seen();
    let accepts = seen[0].lines().find(|line| line.starts_with("accept-encoding: ")).unwrap();
    for encoding in ["gzip", "deflate", "br", "zstd"] {
        assert!(accepts.contains(encoding), "{accepts}");
    }
}

/// R10.9: the limit of a body holds for what it unpacks to.
#[tokio::test]
async fn a_bomb_is_refused_at_the_limit() {
    // 64 MiB of zeros in Brotli.
    const BOMB: &str = "cbffff3ff82700e2b14020f7fe8fffff7ff04f00c4611180eefd1fffffffe09f0088c30200ddfb3ffeffffc13f0110870500baf77ffcffff837f02200e0b0074effff8ffff07ff04401c1600e8defff1ffff0ffe0980382c00d0bdffcbffff3ffc1300715800a07bff07";
    let server = Server::start(|_| packed("br", BOMB)).await;
    let client = HttpClient::new(true);
    let rules = UrlRules::parse(&["*"]).unwrap();
    for (limit, fits) in [(1 << 20, false), ((64 << 20) - 1, false), (64 << 20, true)] {
        let mut asked = request(Method::GET, &server.url("/"));
        asked.max_response = limit;
        let opened = client.open(asked.clone(), &rules).await.unwrap();
        let streamed = opened.body.try_fold(0, |size, piece| async move { Ok(size + piece.len()) }).await;
        assert_eq!(streamed.is_ok(), fits, "{limit}");
        match client.send(asked, &rules).await {
            Ok(response) => assert!(fits && response.body.len() == 64 << 20, "{limit}"),
            Err(error) => assert!(!fits && matches!(error, TransportError::TooLarge { .. }), "{limit} {error:?}"),
        }
    }
}

/// R10.9: an answer without a body says how it would be packed, and a packed body that is cut off is an error.
#[tokio::test]
async fn an_absent_or_broken_packed_body() {
    let server = Server::start(|path| match path {
        "/none" => Answer::Whole("HTTP/1.1 204 No Content\r\ncontent-encoding: gzip\r\n\r\n".to_owned()),
        "/head" => Answer::Whole("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 40\r\n\r\n".to_owned()),
        "/cut" => packed("gzip", "1f8b0800000000000003ab56ca48cdc9c957b2"),
        _ => packed("br", "ffffffffffff"),
    })
    .await;
    let client = HttpClient::new(true);
    assert_eq!(get(&client, &server.url("/none")).await.unwrap().status, 204);
    let head = send(&client, request(Method::HEAD, &server.url("/head")), &["*"]).await.unwrap();
    assert!(head.body.is_empty());
    for path in ["/cut", "/broken"] {
        let error = get(&client, &server.url(path)).await.unwrap_err();
        assert!(matches!(&error, TransportError::Connection { .. }), "{path} {error:?}");
    }
}
