use proptest::prelude::*;
use serde_json::{Value, json};

use super::mail::{Mail, quotation_of};
use super::mrkdwn::Workspace;
use super::*;
use crate::model::Emoji;

const ACME: Workspace<'static> = Workspace { url: "https://acme.slack.com/", name_of: &name_of };

fn name_of(id: &str) -> Option<String> {
    match id {
        "U1" => Some("Alice".to_owned()),
        "C1" => Some("general".to_owned()),
        _ => None,
    }
}

fn from_slack(text: &str) -> String {
    Document::from_mrkdwn(text, &ACME).to_markdown()
}

fn to_slack(text: &str) -> String {
    Document::from_markdown(text).to_mrkdwn()
}

/// L26: what people write in Slack.
#[test]
fn mrkdwn_becomes_markdown() {
    for (slack, markdown) in [
        ("*bold* _italic_ ~gone~ `code`", "**bold** *italic* ~~gone~~ `code`"),
        ("*_both_*", "**_both_**"),
        ("snake_case_name 2 * 3 * 4", "snake_case_name 2 * 3 * 4"),
        ("a*b*c", "a\\*b\\*c"),
        (
            "hi <@U1>, see <#C1>",
            "hi [@Alice](https://acme.slack.com/team/U1), see [#general](https://acme.slack.com/archives/C1)",
        ),
        ("<@U9> <#C9|secret>", "[@U9](https://acme.slack.com/team/U9) [#secret](https://acme.slack.com/archives/C9)"),
        ("<!here> <!subteam^S1|@devs> <!date^1^{date}|today>", "@here @devs today"),
        ("<https://a.example/x?a=1&amp;b=2|build *3*>", "[build \\*3\\*](https://a.example/x?a=1&b=2)"),
        ("<https://a.example/_x_> <mailto:a@b.example|a@b.example>", "<https://a.example/_x_> a@b.example"),
        ("a &lt;b&gt; &amp; c", "a \\<b> & c"),
        ("&gt; said\n&gt; twice\nno", "> said\n> twice\n\nno"),
        ("see\n```\nlet *x* = &amp;y;\n```\nok", "see\n\n```\nlet *x* = &y;\n```\n\nok"),
        ("• one\n• two\n    ◦ below\n1. first\n2. second", "- one\n- two\n  - below\n\n1. first\n2. second"),
        ("# no heading\n- no list", "\\# no heading\n\\- no list"),
        (":wave: at 10:30:45 :party_parrot: :+1::skin-tone-3:", "👋 at 10:30:45 :party_parrot: 👍🏼"),
        ("one\n\n\ntwo", "one\n\ntwo"),
        ("```unclosed *x*", "\\`\\`\\`unclosed **x**"),
    ] {
        assert_eq!(from_slack(slack), markdown, "{slack}");
    }
}

/// L26: what users write here.
#[test]
fn markdown_becomes_mrkdwn() {
    for (markdown, slack) in [
        ("**bold** *italic* ~~gone~~ `code`", "*bold* _italic_ ~gone~ `code`"),
        ("# Title\n\nText", "*Title*\n\nText"),
        ("[site](https://a.example/?a=1&b=2)", "<https://a.example/?a=1&amp;b=2|site>"),
        ("[@Alice](https://acme.slack.com/team/U1)", "<@U1>"),
        ("![cat](https://a.example/cat.png)", "<https://a.example/cat.png|cat>"),
        ("- a\n- b\n  1. c\n\n> q\n> r", "• a\n• b\n    1. c\n\n&gt; q\n&gt; r"),
        ("- [x] done\n- [ ] open", "• ☑ done\n• ☐ open"),
        ("```rust\na < b\n```", "```\na &lt; b\n```"),
        ("snake_case and 2 \\* 3", "snake_case and 2 * 3"),
        ("\\*not bold\\*", "\u{200B}*\u{200B}not bold\u{200B}*\u{200B}"),
        ("mid**dle**", "mid\u{200B}*dle*"),
        ("| a | b |\n| --- | --- |\n| 1 | long |", "```\na  b\n1  long\n```"),
        ("@channel <!channel>", "@channel &lt;!channel&gt;"),
    ] {
        assert_eq!(to_slack(markdown), slack, "{markdown}");
    }
}

/// L26: the names of emoji, both ways.
#[test]
fn emoji_have_names() {
    for (name, emoji) in [
        ("tada", "🎉"),
        ("+1", "👍"),
        ("thinking_face", "🤔"),
        ("+1::skin-tone-4", "👍🏽"),
        ("flag-de", "🇩🇪"),
        ("star-struck", "🤩"),
        ("heart", "❤️"),
    ] {
        assert_eq!(shortcode::emoji(name), Emoji::unicode(emoji), "{name}");
        assert_eq!(shortcode::name_of(&Emoji::unicode(emoji)).as_deref(), Some(name));
    }
    assert_eq!(shortcode::emoji("party_parrot"), Emoji::custom("party_parrot"));
    assert_eq!(shortcode::name_of(&Emoji::custom("party_parrot")).as_deref(), Some("party_parrot"));
    assert_eq!(shortcode::name_of(&Emoji::unicode("no emoji")), None);
    let known = emojis::iter().filter(|emoji| shortcode::name_of(&Emoji::unicode(emoji.as_str())).is_some());
    for emoji in known {
        let name = shortcode::name_of(&Emoji::unicode(emoji.as_str())).unwrap_or_default();
        assert_eq!(shortcode::emoji(&name), Emoji::unicode(emoji.as_str()), "{name}");
    }
}

/// L26: what people write in Jira.
#[test]
fn adf_becomes_markdown() {
    let text = |text: &str| json!({ "type": "text", "text": text });
    let marked = |text: &str, marks: Value| json!({ "type": "text", "text": text, "marks": marks });
    let paragraph = |content: Value| json!({ "type": "paragraph", "content": content });
    let document = json!({ "type": "doc", "version": 1, "content": [
        { "type": "heading", "attrs": { "level": 2 }, "content": [text("Plan")] },
        paragraph(json!([
            text("ask "),
            { "type": "mention", "attrs": { "id": "5b10", "text": "@Ada" } },
            { "type": "hardBreak" },
            marked("so", json!([{ "type": "strong" }])),
            marked(" very", json!([{ "type": "em" }, { "type": "strong" }])),
            text(" "),
            marked("let x", json!([{ "type": "code" }])),
            text(" "),
            { "type": "emoji", "attrs": { "shortName": ":tada:", "text": "🎉" } },
            text(" "),
            marked("docs", json!([{ "type": "link", "attrs": { "href": "https://a.example" } }])),
        ])),
        { "type": "panel", "attrs": { "panelType": "info" }, "content": [paragraph(json!([text("mind")]))] },
        { "type": "taskList", "attrs": { "localId": "a" }, "content": [
            { "type": "taskItem", "attrs": { "localId": "b", "state": "DONE" }, "content": [text("first")] },
        ] },
        { "type": "codeBlock", "attrs": { "language": "rust" }, "content": [text("fn main() {}")] },
        { "type": "table", "content": [
            { "type": "tableRow", "content": [{ "type": "tableHeader", "content": [paragraph(json!([text("a")]))] }] },
            { "type": "tableRow", "content": [{ "type": "tableCell", "content": [paragraph(json!([text("1")]))] }] },
        ] },
        { "type": "mediaSingle", "content": [
            { "type": "media", "attrs": { "type": "external", "url": "https://a.example/cat.png", "alt": "cat" } },
        ] },
    ] });
    let read = Document::from_adf(&document);
    let markdown = "## Plan\n\nask [@Ada](accountid:5b10)\n**so *very*** `let x` 🎉 [docs](https://a.example)\n\nmind\n\n\
                    - [x] first\n\n```rust\nfn main() {}\n```\n\n| a |\n| --- |\n| 1 |\n\n![cat](https://a.example/cat.png)";
    assert_eq!(read.to_markdown(), markdown);
    let written = read.to_adf();
    assert_eq!(written["content"][0], document["content"][0]);
    assert_eq!(written.pointer("/content/1/content/1"), document.pointer("/content/1/content/1"));
    assert_eq!(Document::from_adf(&written).to_markdown(), markdown);
}

/// L26: what of a mail is new.
#[test]
fn mails_are_taken_apart() {
    for (mail, text, signature, quoted) in [
        (
            "Yes.\n\nOn 1 May 2026, Bob wrote:\n> Ready?\n> Now?",
            "Yes.",
            None,
            Some("On 1 May 2026, Bob wrote:\n> Ready?\n> Now?"),
        ),
        ("Yes.\n-- \nAda\nAcme", "Yes.", Some("Ada\nAcme"), None),
        ("> Ready?\nYes.\n> Now?\nNo.", "> Ready?\nYes.\n> Now?\nNo.", None, None),
        (
            "Ja.\r\n\r\nAm 01.05.2026 um 10:00\r\nschrieb Bob <bob@a.example>:\r\n> Fertig?\r\n\r\n--\r\nAda",
            "Ja.",
            Some("Ada"),
            Some("Am 01.05.2026 um 10:00\nschrieb Bob <bob@a.example>:\n> Fertig?"),
        ),
        (
            "Yes.\n\n________________________________\nFrom: Bob\nSent: today\nTo: Ada\n\nReady?",
            "Yes.",
            None,
            Some("________________________________\nFrom: Bob\nSent: today\nTo: Ada\n\nReady?"),
        ),
        (
            "**From:** Bob\n**Sent:** today\n**To:** Ada\n\nReady?",
            "",
            None,
            Some("**From:** Bob\n**Sent:** today\n**To:** Ada\n\nReady?"),
        ),
        ("From: here to there\nit is far", "From: here to there\nit is far", None, None),
    ] {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let wanted = Mail { text: text.to_owned(), signature: owned(signature), quoted: owned(quoted) };
        assert_eq!(Mail::parse(mail), wanted, "{mail}");
    }
}

/// L26: pictures of a mail are shown from where the host has them.
#[test]
fn pictures_within_a_mail_get_an_address() {
    let mail = Document::from_markdown("see **![plan](cid:1@a)** and ![other](https://b.example/x.png)");
    let shown = mail.with_images(&|url| (url == "cid:1@a").then(|| "https://host.example/files/7".to_owned()));
    assert_eq!(
        shown.to_markdown(),
        "see **![plan](https://host.example/files/7)** and ![other](https://b.example/x.png)"
    );
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-z]{1,6}",
        1 => "[a-z]{1,3}_[a-z]{1,3}",
        1 => "[*_~`#<>&:|\\[\\]()!\\\\+=.-]{1,3}",
        1 => "[0-9]{1,2}[.)]",
        1 => Just("https://a.example/b_c?d=1&e=2".to_owned()),
        1 => "[äß再👋]{1,2}",
    ]
}

fn text() -> impl Strategy<Value = Inline> {
    prop::collection::vec(word(), 1..4).prop_map(|words| Inline::Text(words.join(" ")))
}

fn simple_text() -> impl Strategy<Value = Inline> {
    prop::collection::vec("[a-z]{1,6}", 1..4).prop_map(|words| Inline::Text(words.join(" ")))
}

/// Running text with marks around words, and blanks between what is marked.
fn content() -> impl Strategy<Value = Vec<Inline>> {
    let marked = prop_oneof![
        4 => text(),
        1 => "[a-z<&]{1,6}".prop_map(Inline::Code),
        1 => simple_text().prop_map(|text| Inline::Emphasis(vec![text])),
        1 => simple_text().prop_map(|text| Inline::Strong(vec![text])),
        1 => simple_text().prop_map(|text| Inline::Strong(vec![Inline::Emphasis(vec![text])])),
        1 => simple_text().prop_map(|text| Inline::Strikethrough(vec![text])),
        1 => simple_text().prop_map(|text| Inline::Link { url: "https://a.example/?q=1".to_owned(), content: vec![text] }),
    ];
    prop::collection::vec((marked, any::<bool>()), 1..5).prop_map(|parts| {
        let mut content = Vec::new();
        for (inline, line) in parts {
            if !content.is_empty() {
                content.push(if line { Inline::Break } else { Inline::text(" ") });
            }
            content.push(inline);
        }
        document::tidy(content)
    })
}

fn block() -> impl Strategy<Value = Block> {
    let leaf = prop_oneof![
        4 => content().prop_map(Block::Paragraph),
        1 => "[a-z<&*_ ]{0,8}(\n[a-z]{1,5}){0,2}".prop_map(|text| Block::Code(None, text)),
    ];
    let item = || simple_text().prop_map(|text| Item { done: None, blocks: vec![Block::Paragraph(vec![text])] });
    let list = (prop::option::of(1u64..5), prop::collection::vec(item(), 1..4));
    prop_oneof![
        4 => leaf,
        1 => list.prop_map(|(start, items)| Block::List(start, items)),
        1 => simple_text().prop_map(|text| Block::Quote(vec![Block::Paragraph(vec![text])])),
    ]
}

fn document() -> impl Strategy<Value = Document> {
    prop::collection::vec(block(), 1..5).prop_map(Document)
}

fn said(blocks: &[Block]) -> String {
    let each = blocks.iter().map(|block| match block {
        Block::Paragraph(content) | Block::Heading(_, content) => plain(content),
        Block::Quote(blocks) => said(blocks),
        Block::List(_, items) => items.iter().map(|item| said(&item.blocks)).collect(),
        Block::Code(_, text) => text.clone(),
        Block::Table(header, rows) => header.iter().chain(rows.iter().flatten()).map(|cell| plain(cell)).collect(),
        Block::Rule => String::new(),
    });
    each.collect::<String>().chars().filter(|c| !c.is_whitespace()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// L26: what is written as markdown reads back as the same document.
    #[test]
    fn markdown_reads_back(document in document()) {
        let written = document.to_markdown();
        let read = Document::from_markdown(&written);
        prop_assert_eq!(said(&read.0), said(&document.0), "{}", written);
        // Marks that markdown cannot have are gone after the first time.
        prop_assert_eq!(&Document::from_markdown(&read.to_markdown()), &read);
        prop_assert_eq!(read.to_markdown(), written);
    }

    /// L26, R9.2: what is sent to Slack and read back is the same content by the rule of baselines.
    #[test]
    fn what_slack_is_sent_reads_back(document in document()) {
        let written = document.to_markdown();
        let sent = to_slack(&written);
        let back = from_slack(&sent);
        prop_assert_eq!(Content::markdown(&*back).fingerprint(), Content::markdown(&*written).fingerprint(), "{}\n---\n{}\n---\n{}", written, sent, back);
    }

    /// L26, R9.2: no matter what is sent, the second time changes nothing, and no character is lost.
    #[test]
    fn any_text_settles(text in "([a-z *_~`#<>&:|\n\\[\\]()!.-]| https://a\\.example/_b_ |😀){0,40}") {
        let sent = to_slack(&text);
        let back = from_slack(&sent);
        prop_assert_eq!(from_slack(&to_slack(&back)), back, "{:?}", sent);
    }

    /// L26, R9.2: the same for Atlassian's documents.
    #[test]
    fn what_jira_is_sent_reads_back(document in document()) {
        let written = Document::from_markdown(&document.to_markdown());
        let back = Document::from_adf(&written.to_adf());
        prop_assert_eq!(
            Content::markdown(back.to_markdown()).fingerprint(),
            Content::markdown(written.to_markdown()).fingerprint(),
            "{}",
            written.to_adf()
        );
    }

    /// L26: a mail that was written is taken apart into what it was made of.
    #[test]
    fn mails_read_back(text in "[a-z]{1,5}( [a-z]{1,5}|\n[a-z]{1,5}){0,4}", earlier in "[a-z>]{1,5}(\n[a-z]{0,5}){0,3}[a-z]", signature in prop::option::of("[a-z]{1,5}")) {
        let quoted = Some(quotation_of("On 1 May 2026, Bob wrote", &earlier));
        let mail = Mail { text, signature, quoted };
        prop_assert_eq!(Mail::parse(&mail.write()), mail);
    }

    /// L26: no line of a mail is lost, whatever it looks like.
    #[test]
    fn no_line_of_a_mail_is_lost(mail in "([a-z]{1,3}|> [a-z]|>|\n|-- \n|On 123 wrote:\n|From: x\n|To: x\n|Sent: x\n){0,20}") {
        let parts = Mail::parse(&mail);
        let all = [Some(parts.text), parts.signature, parts.quoted].into_iter().flatten().collect::<Vec<_>>().join("\n");
        let letters = |text: &str| {
            let kept = text.split('\n').filter(|line| !matches!(*line, "--" | "-- ")).collect::<String>();
            let mut letters: Vec<_> = kept.chars().filter(|c| !c.is_whitespace()).collect();
            letters.sort_unstable();
            letters
        };
        prop_assert_eq!(letters(&all), letters(&mail));
    }

    /// L26: any text of Slack can be read, and keeps its letters.
    #[test]
    fn any_mrkdwn_is_read(text in "([a-z *_~`#&;:\n•.-]|<@U1>|<https://a\\.example|&lt;|&gt; |```){0,40}") {
        let markdown = from_slack(&text);
        let again = Document::from_markdown(&markdown);
        prop_assert_eq!(again.to_markdown(), markdown);
    }
}
