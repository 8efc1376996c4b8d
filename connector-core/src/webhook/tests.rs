use base64::prelude::{BASE64_STANDARD, Engine};
use jiff::{SignedDuration, Timestamp};

use super::{Algorithm, Verify, VerifyError, WebhookRequest, fresh, hmac_sha256, signed};
use crate::secret::Secret;

fn check(verify: Verify, request: &WebhookRequest, secret: &str) -> Result<(), VerifyError> {
    verify.check(request, Some(&Secret::new(secret)), request.received_at)
}

/// R10.3: while a secret is rotated there are several signatures, in any order, and one of them is right.
#[test]
fn one_of_several_signatures_is_enough() {
    let verify = Verify::HmacSha256 { header: "x-signature", prefix: "sha256=" };
    let digest = |secret: &str| format!("sha256={}", hmac_sha256(secret, &[b"{}"]));
    let (good, bad) = (digest("s3cret"), digest("other"));
    for (header, right) in [
        (good.clone(), true),
        (format!("{good},{bad}"), true),
        (format!("{bad},{good}"), true),
        (format!("{bad}, {good}"), true),
        (format!("{bad} {good}"), true),
        // A case that was seen.
        (
            "sha256=419f84c3dfb1dabfe377f5a34859584b8faa83144c2a3b2b72a8c4ded4e293a6,\
             sha256=adbde1ce40c89c14215687d5d762a47df6dfaefcfad61e2e86718ffc8498571b"
                .to_owned(),
            true,
        ),
        (format!("{bad},{bad}"), false),
        (good.replace("sha256=", ""), false),
        (",".to_owned(), false),
        (String::new(), false),
    ] {
        let request = WebhookRequest::new("POST", "{}", Timestamp::UNIX_EPOCH).with_header("X-Signature", &header);
        let expected = if right { Ok(()) } else { Err(VerifyError::Wrong) };
        assert_eq!(check(verify, &request, "s3cret"), expected, "{header}");
    }
}

/// R10.3: Standard Webhooks 1.0, whose keys are bytes that are no text.
#[test]
fn standard_webhooks_are_verified() {
    const SECRET: &str = "whsec_yMnKy8zNzs/Q0dLT1NXW19jZ2tvc3d7f";
    const SIGNATURE: &str = "v1,Y07hfZyuUYXFrkrTmaVim68XcyK9l+AhP3DNJpu/mBI=";
    let at = Timestamp::from_second(1_767_600_000).unwrap();
    let push = |at, body: &str, signature: &str| {
        WebhookRequest::new("POST", body.to_owned(), at)
            .with_header("webhook-id", "msg_1")
            .with_header("webhook-timestamp", "1767600000")
            .with_header("webhook-signature", signature)
    };
    let body = "{\"test\": 1}";
    let wrong = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for (body, signature, expected) in [
        (body, SIGNATURE.to_owned(), Ok(())),
        (body, format!("{wrong} {SIGNATURE}"), Ok(())),
        (body, format!("{SIGNATURE} v1a,x"), Ok(())),
        (body, wrong.to_owned(), Err(VerifyError::Wrong)),
        (body, SIGNATURE.replace("v1,", "v2,"), Err(VerifyError::Wrong)),
        ("{}", SIGNATURE.to_owned(), Err(VerifyError::Wrong)),
    ] {
        assert_eq!(check(Verify::StandardWebhooks, &push(at, body, &signature), SECRET), expected, "{signature}");
    }
    let late = at + SignedDuration::from_mins(6);
    assert_eq!(check(Verify::StandardWebhooks, &push(late, body, SIGNATURE), SECRET), Err(VerifyError::Stale));
    for secret in ["", "whsec_", "whsec_???"] {
        assert!(check(Verify::StandardWebhooks, &push(at, body, SIGNATURE), secret).is_err(), "{secret}");
    }
    let unsigned = WebhookRequest::new("POST", body, at);
    assert_eq!(check(Verify::StandardWebhooks, &unsigned, SECRET), Err(VerifyError::Missing));
}

/// R10.3: a service may sign the method and the URL, in base64, with SHA-1.
#[test]
fn a_function_sees_the_method_and_the_url() {
    let url = "https://host.example.com/hooks/3-abc?x=%2F";
    let request = WebhookRequest::new("POST", "{}", Timestamp::UNIX_EPOCH).with_url(url);
    let digest = |text: &str| BASE64_STANDARD.decode(text).unwrap();
    // openssl dgst -sha1 -hmac key -binary | base64
    let trello = digest("Jvu/sTr/GJeQLM2jMSCgJGhEKSs=");
    assert!(signed(Algorithm::Sha1, b"key", &[&request.body, request.url.as_bytes()], &trello));
    let hubspot = digest("g/mOHSedI+BggvIM7YoBLQvIabUoeB8Hp/GcyGI3qG8=");
    let parts = [request.method.as_bytes(), request.url.as_bytes(), &request.body, b"1767600000000"];
    assert!(signed(Algorithm::Sha256, b"key", &parts, &hubspot));
    assert!(!signed(Algorithm::Sha256, b"key", &parts, &trello));
    assert!(!signed(Algorithm::Sha256, b"", &parts, &hubspot));
}

/// R10.3: a timestamp is digits and nothing else.
#[test]
fn a_timestamp_takes_no_sign() {
    let now = Timestamp::from_second(1_767_600_000).unwrap();
    for (text, expected) in [
        ("1767600000", Ok(())),
        ("1767599700", Ok(())),
        ("1767599699", Err(VerifyError::Stale)),
        ("+1767600000", Err(VerifyError::Wrong)),
        ("-1767600000", Err(VerifyError::Wrong)),
        (" 1767600000", Err(VerifyError::Wrong)),
        ("1767600000.0", Err(VerifyError::Wrong)),
        ("99999999999999999999", Err(VerifyError::Wrong)),
        ("", Err(VerifyError::Wrong)),
    ] {
        assert_eq!(fresh(text, now), expected, "{text}");
    }
    let sign = |timestamp: &str| {
        let digest = hmac_sha256("s", &[b"v0:", timestamp.as_bytes(), b":{}"]);
        WebhookRequest::new("POST", "{}", now)
            .with_header("X-Slack-Request-Timestamp", timestamp)
            .with_header("X-Slack-Signature", format!("v0={digest}"))
    };
    assert_eq!(check(Verify::Slack, &sign("1767600000"), "s"), Ok(()));
    assert_eq!(check(Verify::Slack, &sign("+1767600000"), "s"), Err(VerifyError::Wrong));
}
