//! An attachment that is larger than what is taken from a service.

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
        Ok(cx.provider().get("/film").stream().await?.into_download(&attachment.name))
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
        let note = note.attachments([Attachment::new("film.mp4", "1")]);
        let link = NewLink::new(Film, source, &channel, Author::Owner, at).url("https://office.test/films/1");
        cx.integrations().save_link(link.title("The film").notes([note])).await?;
        Ok(Step::Done(1))
    }
}

/// R9.1: what is larger than is taken ends in an answer that names the limit and the way out.
#[tokio::test]
async fn an_attachment_that_is_too_large_is_told_with_the_limit() {
    let bench = shared::bench("film", Registry::of::<Films>().expect("a registry")).await;
    let id = bench.connected_to("films", "ada").await;
    bench.ok("PUT", &format!("/connections/{id}/channels/all"), Value::Null).await;
    let threads = bench.until("/threads", |threads| threads["items"][0]["id"].is_string()).await;
    let thread = threads["items"][0]["id"].as_str().expect("an id");
    let note = bench.get(&format!("/threads/{thread}")).await["notes"][0].clone();
    let place = note["attachment_urls"][0].as_str().and_then(|url| url.strip_prefix("/api/v1")).expect("a URL");
    let (status, problem) = bench.ask("GET", &format!("{place}?user=ada"), Value::Null).await;
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
