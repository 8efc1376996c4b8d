use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::{Request, Response};
use crate::error::ErrorKind;

fn with_links(values: &[&'static str]) -> Response {
    let headers = values.iter().map(|value| (header::LINK, HeaderValue::from_static(value)));
    let mut map = HeaderMap::new();
    map.extend(headers);
    let request = Request::new(Method::GET, "https://api.example.com/v1/items?page=1".parse().unwrap());
    Response::new(&request, StatusCode::OK, map, "".into())
}

fn links(values: &[&'static str]) -> Vec<(String, String)> {
    let mut links: Vec<_> = with_links(values).links().into_iter().collect();
    links.sort();
    links
}

fn pair(relation: &str, target: &str) -> (String, String) {
    (relation.to_owned(), target.to_owned())
}

/// R10.2, L11: paging with `Link` headers as services write them.
#[test]
fn links_by_relation() {
    let (next, last) = ("https://api.example.com/items?page=2", "https://api.example.com/items?page=9");
    let both = [pair("last", last), pair("next", next)];
    for header in [
        r#"<https://api.example.com/items?page=2>; rel="next", <https://api.example.com/items?page=9>; rel="last""#,
        r#"<https://api.example.com/items?page=2>;rel="next",<https://api.example.com/items?page=9>;rel="last""#,
        r#"<https://api.example.com/items?page=2>; rel=next , <https://api.example.com/items?page=9>; rel=last"#,
        r#" , <https://api.example.com/items?page=2> ; REL = "NEXT",, <https://api.example.com/items?page=9>; title="a, <b>; \"c\""; rel="last","#,
    ] {
        assert_eq!(links(&[header]), both, "{header}");
    }
    assert_eq!(
        links(&[
            r#"<https://api.example.com/items?page=2>; rel="next""#,
            r#"<https://api.example.com/items?page=9>; rel="last""#
        ]),
        both
    );
    assert_eq!(
        with_links(&[r#"<https://api.example.com/items?page=2>; rel="next""#]).next_page().as_deref(),
        Some(next)
    );
    assert_eq!(with_links(&[r#"<https://api.example.com/items?page=9>; rel="last""#]).next_page(), None);
    assert_eq!(with_links(&[]).next_page(), None);
}

/// R10.2
#[test]
fn links_with_everything_that_is_allowed_in_them() {
    assert_eq!(
        links(&[
            r#"<https://api.example.com/items?ids=1,2,<3;x>; rel="next"; title="x", <https://api.example.com/a,<b>; rel="last""#
        ]),
        [pair("last", "https://api.example.com/a,%3Cb"), pair("next", "https://api.example.com/items?ids=1,2,%3C3;x")]
    );
    assert_eq!(links(&[r#"<?page=2>; rel="next""#]), [pair("next", "https://api.example.com/v1/items?page=2")]);
    assert_eq!(
        links(&[r#"</v2>; rel="next last""#]),
        [pair("last", "https://api.example.com/v2"), pair("next", "https://api.example.com/v2")]
    );
    assert_eq!(
        links(&[r#"<https://a.example/>; rel="next", <https://b.example/>; rel="next""#]),
        [pair("next", "https://a.example/")]
    );
    for broken in [
        "",
        "https://a.example/; rel=next",
        "<https://a.example/",
        "<https://a.example/>",
        "<https://[>; rel=next",
        "<>",
        "<a>; rel",
    ] {
        assert_eq!(links(&[broken]), [], "{broken}");
    }
}

/// R6.6: a page of a proxy passes, another shape does not.
#[test]
fn what_is_no_json_says_what_it_is() {
    for (body, kind, says) in [
        ("\n <!DOCTYPE html><html>", ErrorKind::Transient, "HTML"),
        ("", ErrorKind::Transient, "an empty body"),
        (" \r\n", ErrorKind::Transient, "an empty body"),
        (r#"{"number": 1"#, ErrorKind::Transient, "cut off"),
        ("[", ErrorKind::Transient, "cut off"),
        ("upstream connect error", ErrorKind::Transient, "no JSON"),
        ("\u{0}\u{1}", ErrorKind::Transient, "no JSON"),
        (r#"{"number": "one"}"#, ErrorKind::Bug, "another shape"),
        (r#"{"id": 1}"#, ErrorKind::Bug, "missing field `number`"),
        ("[]", ErrorKind::Bug, "another shape"),
        ("null", ErrorKind::Bug, "another shape"),
    ] {
        #[derive(Debug, serde::Deserialize)]
        struct Item {
            #[expect(dead_code, reason = "only whether it is there matters")]
            number: u32,
        }
        let url = "https://api.example.com:8443/items?token=hidden".parse().unwrap();
        let response = Response::new(&Request::new(Method::POST, url), StatusCode::OK, HeaderMap::new(), body.into());
        let error = response.json::<Item>().unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), &kind, "{body}: {text}");
        assert!(
            text.contains(says)
                && text.starts_with("POST api.example.com:8443/items answered ")
                && !text.contains("hidden"),
            "{body}: {text}"
        );
    }
}

/// R10.9: a body that no client unpacks says so, and is not taken for broken JSON.
#[test]
fn json_in_an_unknown_encoding_names_the_encoding() {
    let headers = HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static("compress"))]);
    let request = Request::new(Method::GET, "https://api.example.com/items".parse().unwrap());
    let error = Response::new(&request, StatusCode::OK, headers, "\u{1f}".into()).json::<u8>().unwrap_err();
    assert_eq!(error.to_string(), "GET api.example.com/items answered in the encoding `compress`, which is not known");
}
