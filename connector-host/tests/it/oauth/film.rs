//! An attachment that is larger than what is taken from a service.

use connector_core::model::AttachmentRef;

use super::*;

/// Films of an office.
#[connector(
    id = "films",
    name = "Films",
    provider = OFFICE,
    link_types = [Film],
)]
#[derive(Default)]
pub struct Films;

/// A film.
#[link_type(label = "Film", note_label = "Comment", supports(attachments))]
pub struct Film;

#[connector]
impl Connector for Films {
    async fn get_channels(&self, _: &Context<Self>, _: &Account) -> Result<Vec<Channel>> {
        Ok(vec![Channel::new("all", "All")])
    }

    async fn download_attachment(&self, cx: &Context<Self>, attachment: &Attachment, _: &Link) -> Result<Download> {
        let path = if attachment.at == AttachmentRef::Service("2".to_owned()) { "/reel" } else { "/film" };
        Ok(cx.provider().get(path).stream().await?.into_download(&attachment.name))
    }
}

#[connector]
impl Films {
    /// The one film that there is.
    #[sync(every = "1h")]
    async fn reel(&self, cx: &Context<Self>, channel: ChannelId, _after: Option<u64>) -> Result<Step<u64>> {
        let at = Timestamp::from_second(1_700_000_000).unwrap_or_default();
        let source = Source::new("office", ["film"]);
        let note = NewNote::new(source.clone(), "body", Author::Owner, at, Content::markdown("Look"));
        let note = note.attachments([Attachment::new("film.mp4", "1"), Attachment::new("reel.mp4", "2")]);
        let link = NewLink::new(Film, source, &channel, Author::Owner, at).url("https://office.test/films/1");
        cx.integrations().save_link(link.title("The film").notes([note])).await?;
        Ok(Step::Done(1))
    }
}

/// Where the attachments of the one film are, for a request.
async fn places(bench: &Bench) -> Vec<String> {
    let id = bench.connected_to("films", "ada").await;
    bench.ok("PUT", &format!("/connections/{id}/channels/all"), Value::Null).await;
    let threads = bench.until("/threads", |threads| threads["items"][0]["id"].is_string()).await;
    let thread = threads["items"][0]["id"].as_str().expect("an id");
    let note = bench.get(&format!("/threads/{thread}")).await["notes"][0].clone();
    let urls = note["attachment_urls"].as_array().expect("URLs").iter();
    urls.map(|url| format!("{}?user=ada", url.as_str().expect("a URL"))).collect()
}

#[tokio::test]
async fn a_download_breaks_off_when_its_session_ends() {
    let bench = shared::bench("film-session", Registry::of::<Films>().expect("a registry")).await;
    let place = places(&bench).await.remove(1);
    let session = bench.ok("POST", "/sessions", json!({"user": "ada"})).await;
    let token = format!("Bearer {}", session["token"].as_str().expect("a token"));
    let request = Request::get(place).header("authorization", token).body(Body::empty()).expect("a request");
    let response = tower::ServiceExt::oneshot(bench.router.clone(), request).await.expect("an answer");
    assert_eq!(response.status(), 200);
    let mut pieces = response.into_body().into_data_stream();
    let piece = futures_util::StreamExt::next(&mut pieces).await.expect("a piece").expect("no error");
    assert_eq!(piece.len(), 1 << 10);
    bench.ok("DELETE", "/sessions?user=ada", Value::Null).await;
    // An error, or the half of it would be taken for the whole.
    let end = futures_util::StreamExt::next(&mut pieces).await.expect("an end").expect_err("an error");
    assert!(end.to_string().contains("the token has ended"), "{end}");
    bench.end().await;
}

/// R9.1: what is larger than is taken ends in an answer that names the limit and the way out.
#[tokio::test]
async fn an_attachment_that_is_too_large_is_told_with_the_limit() {
    let bench = shared::bench("film", Registry::of::<Films>().expect("a registry")).await;
    let place = places(&bench).await.remove(0);
    let (status, problem) = bench.ask("GET", place.strip_prefix("/api/v1").expect("a path"), Value::Null).await;
    assert_eq!((status, &problem["type"]), (502, &json!("urn:connectors:problem:attachment-too-large")), "{problem}");
    let detail = problem["detail"].as_str().expect("a text");
    assert!(detail.contains("1073741824 bytes") && detail.contains("https://office.test/films/1"), "{detail}");

    let request = Request::builder().uri("/openapi.json").body(Body::empty()).expect("a request");
    let document: Value = serde_json::from_str(&bench.raw(request).await.2).expect("JSON");
    let described = &document["paths"]["/api/v1/attachments/{note}/{index}"]["get"]["responses"]["502"];
    assert!(described["description"].as_str().expect("a text").contains("attachment-too-large"), "{described}");
    assert!(described["content"]["application/problem+json"].is_object(), "{described}");
    bench.end().await;
}
