use proptest::prelude::*;
use serde_json::{Value, json};

use super::mail::{Mail, QuotationKind, quotation_of};
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
        ("_`a https://a.example/_b_ c`_", "*`a https://a.example/_b_ c`*"),
        ("*one `two* three` four*", "**one `two* three` four**"),
        ("*one `two*", "**one `two**"),
        ("*see <https://a.example/*x*|it *all*>*", "**see [it \\*all\\*](https://a.example/*x*)**"),
        ("`a` `b`, *c* *d*", "`a` `b`, **c** **d**"),
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
        ("*> no quote*", "_&gt; no quote_"),
        ("a\n\\> no quote", "a\n\u{200B}&gt; no quote"),
        ("a *\\~b* c *d*", "a \u{200B}~\u{200B}b c _d_"),
        ("| a | b |\n| --- | --- |\n| 1 | long |", "```\na  b\n1  long\n```"),
        ("@channel <!channel>", "@channel &lt;!channel&gt;"),
    ] {
        assert_eq!(to_slack(markdown), slack, "{markdown}");
    }
}

/// A URL with parentheses or underscores is the same in each format, and no character is put into it (GFM 6.9).
#[test]
fn urls_with_parentheses_survive_every_format() {
    let given = include_str!("cases/22-url-parens.md").trim_end();
    let slack = to_slack(given);
    assert_eq!(slack, "see <https://en.example.test/wiki/Rust_(lang)> and (<https://x.test/_layouts/15/start.aspx>)");
    let shown = "see https://en.example.test/wiki/Rust_(lang) and (https://x.test/_layouts/15/start.aspx)";
    let texts = |document: Document| said(&document.0);
    let wanted = shown.replace(' ', "");
    assert_eq!(texts(Document::from_mrkdwn(&slack, &ACME)), wanted);
    assert_eq!(texts(Document::from_adf(&Document::from_markdown(given).to_adf())), wanted);
    assert_eq!(texts(Document::from_html(&html_of(given))), wanted);
    assert_eq!(texts(Document::from_markdown(&Content::text(shown).to_markdown())), wanted);
    for (text, url) in [
        ("(see https://a.test/x_(y))", "https://a.test/x_(y)"),
        ("at https://a.test/?q=(a)&b=c.", "https://a.test/?q=(a)&b=c"),
        ("https://a.test/a_b_c, so", "https://a.test/a_b_c"),
        ("見て：https://a.test/あ。次", "https://a.test/あ"),
        ("[https://a.test/[1]]", "https://a.test/[1]"),
    ] {
        let slack = Document::from_markdown(text).to_mrkdwn();
        assert!(slack.contains(&format!("<{}>", url.replace('&', "&amp;"))), "{slack}");
    }
    for url in ["https://a.test/(x", "https://a.test/<b>", "https://a.test/a\\b c", "https://a.test/?a=1&lt;=2"] {
        let link = Inline::Link { url: url.to_owned(), content: vec![Inline::text("there")] };
        let written = Document(vec![Block::Paragraph(vec![link])]).to_markdown();
        let read = Document::from_markdown(&written).into_links();
        assert_eq!(read[0].1, url.replace('<', "%3C").replace('>', "%3E"), "{written}");
    }
}

/// A mark that cannot be written where it is leaves the others of its paragraph as they are.
#[test]
fn one_mark_that_cannot_stand_leaves_the_others() {
    let strong = |text: &str| Inline::Strong(vec![Inline::text(text)]);
    let document = |content: Vec<Inline>| Document(vec![Block::Paragraph(content)]);
    let beside = document(vec![strong("Note:"), Inline::text("this is "), strong("bold"), Inline::text(".")]);
    assert_eq!(beside.to_markdown(), "Note:this is **bold**.");
    let twice = vec![Inline::Emphasis(vec![strong("a"), strong("b")]), Inline::text(" and "), strong("c")];
    let written = document(twice).to_markdown();
    assert_eq!(written, "ab and **c**");
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

/// What Jira has and others have not is shown as text: captions, decisions, lists and code in cells, cards.
#[test]
fn adf_without_a_form_is_shown_as_text() {
    let document: Value = serde_json::from_str(include_str!("cases/47-adf-mixed.json")).unwrap();
    let read = Document::from_adf(&document);
    let markdown = read.to_markdown();
    for text in ["Panel", "@Ann", "a_b", "sub", "plan.png", "A caption", "Wide", "We do it", "col1", "zero", "fence"] {
        assert!(markdown.contains(text), "{text} is not in {markdown}");
    }
    for text in ["https://x.test/1", "ext", "2030-01-01", "ph", "m-1", "m3"] {
        assert!(markdown.contains(text), "{text} is not in {markdown}");
    }
    assert!(markdown.contains("| • i1<br>• i2 | `x`<br>`y\\|z` |"), "{markdown}");
    assert_eq!(Document::from_markdown(&markdown).to_markdown(), markdown);
    let unknown = json!({ "type": "doc", "content": [
        { "type": "blockOfTheFuture", "attrs": { "title": "Budget" } },
        { "type": "otherBlock" },
        { "type": "paragraph", "content": [{ "type": "inlineOfTheFuture", "attrs": { "text": "now" } }] },
        { "type": "blockTaskItem", "content": [{ "type": "text", "text": "loose" }] },
    ] });
    assert_eq!(
        Document::from_adf(&unknown).to_markdown(),
        "Budget\n\n\\[otherBlock]\n\nnow\n\nloose".replace("\\[otherBlock]", "[otherBlock]")
    );
}

/// A file in Jira is the same file when it is written back.
#[test]
fn files_in_adf_stay_the_same_files() {
    let media = json!({ "type": "file", "id": "m-2", "collection": "c/d", "alt": "plan.png" });
    let document = json!({ "type": "doc", "version": 1, "content": [
        { "type": "mediaSingle", "attrs": { "layout": "center" }, "content": [{ "type": "media", "attrs": media }] },
    ] });
    assert_eq!(Document::from_markdown(&Document::from_adf(&document).to_markdown()).to_adf(), document);
}

/// Variation selectors do not make another emoji (UTS 51), and what is no emoji has no standard form.
#[test]
fn an_emoji_has_one_form() {
    let forms: Value = serde_json::from_str(include_str!("cases/48-emoji-variation.json")).unwrap();
    assert_eq!(forms["do"].as_array().unwrap().len(), 2);
    for (one, other) in [("❤️", "❤"), ("❤\u{fe0e}", "❤"), ("☺️", "☺"), ("👁️‍🗨️", "👁‍🗨")]
    {
        assert_eq!(Emoji::unicode(one), Emoji::unicode(other));
        assert_eq!(shortcode::name_of(&Emoji::Unicode(one.to_owned())), shortcode::name_of(&Emoji::unicode(other)));
    }
    for none in ["notanemoji", "", "a", "👍👍", "\u{fe0f}"] {
        assert_eq!(Emoji::unicode(none).standard(), None, "{none}");
    }
}

/// Plain text is shown as it was given, whatever its lines begin with.
#[test]
fn indented_text_is_no_code() {
    let mail = include_str!("cases/12-indented-text.eml");
    let text = mail.split_once("\n\n").unwrap().1;
    let read = Document::from_markdown(&Content::text(text).to_markdown());
    assert!(read.0.iter().all(|block| matches!(block, Block::Paragraph(_))), "{read:?}");
    let shown = read.0.iter().map(|block| match block {
        Block::Paragraph(content) => plain(content),
        other => panic!("{other:?}"),
    });
    let shown = shown.collect::<Vec<_>>().join("\n\n").replace('\u{a0}', " ");
    assert_eq!(shown, text.trim_end());
}

/// HTML keeps its meaning: preformatted text, entities, tables, lists in lists.
#[test]
fn html_keeps_its_meaning() {
    let pre = include_str!("cases/20-pre-without-code.html");
    let code = "def f(x):\n    return x * 2 * y\n\n# not a heading\n1. no list\n<b> *x* _y_ `z`";
    assert_eq!(
        Document::from_html(pre).0,
        [Block::Code(None, code.to_owned()), Block::Paragraph(vec![Inline::text("after")])]
    );
    for (html, markdown) in [
        ("<p>a &lt;b&gt; &amp;amp; &copy; &#8364;</p>", "a \\<b> \\&amp; © €"),
        ("one<br>two<p>three", "one\ntwo\n\nthree"),
        ("<div>Hi</div><div><br></div><div>there</div><div>you</div>", "Hi\n\nthere\nyou"),
        ("<b>bold <i>both</i></b> <s>gone</s> <code>x_y</code>", "**bold *both*** ~~gone~~ `x_y`"),
        ("<b>Note:</b>this <b>is</b>", "Note:this **is**"),
        ("<ul><li>a<ul><li>b</li></ul></li><li>c</ul>", "- a\n  - b\n- c"),
        ("<ul><li>a</li><ul><li>b</li></ul></ul>", "- a\n  - b"),
        ("<ol start=3><li>a<li><p>b</p></ol>", "3. a\n4. b"),
        ("<h2>Plan</h2>text", "## Plan\n\ntext"),
        ("<blockquote>q<blockquote>r</blockquote></blockquote>s", "> q\n>\n> > r\n\ns"),
        (
            "<a href='https://a.test/x_(y)'>t</a> <a href='https://a.test'>https://a.test</a>",
            "[t](<https://a.test/x_(y)>) https://a.test",
        ),
        ("<a href='javascript:x()'>t</a> <a name=x></a>u", "t u"),
        ("<table><tr><th>a<th>b<tr><td>1<td><p>2</p><p>3</p></table>", "| a | b |\n| --- | --- |\n| 1 | 2<br>3 |"),
        ("<table><tr><th colspan=2>a</th></tr><tr><td>1<td>2</table>", "| a |  |\n| --- | --- |\n| 1 | 2 |"),
        ("<table><tr><td><p>Hi</p><table><tr><td>inner</table></table>", "Hi\n\ninner"),
        (
            "<img src='https://a.test/x.png' alt='x'><img src=https://a.test/t.gif width=1 height=1>",
            "![x](https://a.test/x.png)",
        ),
        ("<p style='display: none'>hidden</p><style>p{}</style><script>x</script>seen", "seen"),
        ("# no <i>heading</i><br>- no list<br>1. no", "\\# no *heading*\n\\- no list\n1\\. no"),
        ("<p>&nbsp;</p><p>a&nbsp;b</p>", "a\u{a0}b"),
        ("<pre><code class='language-rust'>fn x() {}\n</code></pre>", "```rust\nfn x() {}\n```"),
        ("a<hr>b", "a\n\n---\n\nb"),
    ] {
        assert_eq!(Document::from_html(html).to_markdown(), markdown, "{html}");
    }
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
        let found = Mail::parse(mail);
        let wanted =
            Mail { text: text.to_owned(), signature: owned(signature), quoted: owned(quoted), kind: found.kind };
        assert_eq!(found, wanted, "{mail}");
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

    /// What is sent as HTML and read back is the same document.
    #[test]
    fn what_is_sent_as_html_reads_back(document in document()) {
        let written = Document::from_markdown(&document.to_markdown());
        let html = html_of(&written.to_markdown());
        let back = Document::from_html(&html);
        prop_assert_eq!(back.to_markdown(), written.to_markdown(), "{}", html);
    }

    /// R8.6: the text that is shown is the text that was given; line ends stay, and indentation is blanks that stay.
    #[test]
    fn the_text_shown_is_the_text_given(text in "([a-z *_~`#<>&:|;+=\"'\\\\/\n\t\\[\\]()!0-9.-]|    |&amp;|&#35;|https://a\\.example/_b_|```|-- ?\n|1\\. |> |äß|😀|\u{a0}){0,60}") {
        let read = Document::from_markdown(&Content::text(&*text).to_markdown());
        let mut shown: Vec<String> = Vec::new();
        for block in &read.0 {
            let Block::Paragraph(content) = block else { panic!("{block:?} of {text:?}") };
            prop_assert!(content.iter().all(|inline| matches!(inline, Inline::Text(_) | Inline::Break)), "{:?}", content);
            shown.extend(plain(content).lines().map(str::to_owned));
        }
        let bare = |line: &str| line.replace('\t', "    ").replace('\u{a0}', " ").trim_end().to_owned();
        let lines = |lines: Vec<String>| lines.iter().map(|line| bare(line)).filter(|line| !line.is_empty()).collect::<Vec<_>>();
        prop_assert_eq!(lines(shown), lines(text.lines().map(str::to_owned).collect()));
    }

    /// The text that HTML shows is the text that was given.
    #[test]
    fn the_text_of_html_is_shown(text in "[a-z *_~`#<>&:|;+=\"'\\\\/\\[\\]()!0-9.-]{0,40}") {
        let html = format!("<p>{}</p>", text.replace('&', "&amp;").replace('<', "&lt;"));
        let read = Document::from_markdown(&Content::html(html).to_markdown());
        let given = text.split_whitespace().collect::<String>();
        prop_assert_eq!(said(&read.0), given);
    }

    /// L26: a mail that was written is taken apart into what it was made of.
    #[test]
    fn mails_read_back(text in "[a-z]{1,5}( [a-z]{1,5}|\n[a-z]{1,5}){0,4}", earlier in "[a-z>]{1,5}(\n[a-z]{0,5}){0,3}[a-z]", signature in prop::option::of("[a-z]{1,5}")) {
        let quoted = Some(quotation_of("On 1 May 2026, Bob wrote", &earlier));
        let mail = Mail { text, signature, quoted, kind: QuotationKind::Reply };
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
