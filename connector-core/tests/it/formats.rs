//! Each parser of a format, and each writer, with generated input: none panics, and none takes more than time in
//! proportion to the length of what it is given.

use connector_core::content::mail::{Mail, MailPart};
use connector_core::content::mrkdwn::Workspace;
use connector_core::content::{Document, html_of};
use connector_core::model::Content;
use serde_json::{Value, json};

/// Numbers that are the same in each run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}

const PIECES: &[&str] = &[
    "a",
    "word ",
    " ",
    "\n",
    "\n\n",
    "*",
    "**",
    "_",
    "~~",
    "~",
    "`",
    "```",
    "```\n",
    "> ",
    ">",
    "- ",
    "1. ",
    "    ",
    "# ",
    "| ",
    "|",
    "| --- |\n",
    "[",
    "](",
    ")",
    "](https://a.test/(x)",
    "![",
    "<",
    ">",
    "<b>",
    "</b>",
    "<div>",
    "</div>",
    "<p>",
    "<br>",
    "<table>",
    "<tr>",
    "<td>",
    "<ul>",
    "<li>",
    "</ul>",
    "<blockquote>",
    "</blockquote>",
    "<pre>",
    "</pre>",
    "<a href='https://a.test'>",
    "</a>",
    "<!--",
    "-->",
    "<script>",
    "&amp;",
    "&",
    "&#",
    ";",
    "\\",
    "https://a.test/_x_(y)",
    "<https://a.test|b>",
    "<@U1>",
    "<!date^1^x|y>",
    ":tada:",
    ":",
    "•",
    "&gt; ",
    "On 1 May 2026, Bo <bo@a.test> wrote:\n",
    "From: Bo\n",
    "Sent: now\n",
    "To: Ann\n",
    "Subject: x\n",
    "-- \n",
    "-----Original Message-----\n",
    "\u{A0}",
    "\u{200B}",
    "é",
    "👍",
    "再",
    "\r\n",
    "\t",
    "\0",
    "[x] ",
    "---\n",
    "===\n",
    "Content-Type: multipart/mixed; boundary=x\n\n--x\n",
    "--x--\n",
    "Content-Type: text/html; charset=gb2312\n\n",
    "\u{feff}",
];

fn text(numbers: &mut Numbers, pieces: usize) -> String {
    (0..pieces).map(|_| PIECES[numbers.below(PIECES.len())]).collect()
}

fn node(numbers: &mut Numbers, depth: usize) -> Value {
    const KINDS: [&str; 24] = [
        "paragraph",
        "heading",
        "blockquote",
        "bulletList",
        "orderedList",
        "listItem",
        "taskList",
        "taskItem",
        "codeBlock",
        "rule",
        "table",
        "tableRow",
        "tableCell",
        "mediaSingle",
        "media",
        "caption",
        "panel",
        "expand",
        "decisionList",
        "decisionItem",
        "text",
        "mention",
        "date",
        "unknown",
    ];
    let kind = KINDS[numbers.below(KINDS.len())];
    let inner: Vec<_> = (0..numbers.below(4)).filter(|_| depth < 6).map(|_| node(numbers, depth + 1)).collect();
    let mut found = json!({ "type": kind, "text": text(numbers, 3), "attrs": { "text": text(numbers, 2), "url": "https://a.test", "colspan": numbers.below(4), "level": numbers.below(9) } });
    if numbers.below(3) > 0 {
        found["content"] = inner.into();
    }
    found
}

fn read_all(text: &str) {
    let workspace = Workspace { url: "https://a.slack.com/", name_of: &|_| None };
    for document in [Document::from_markdown(text), Document::from_html(text), Document::from_mrkdwn(text, &workspace)]
    {
        write_all(&document);
    }
    for content in [Content::text(text), Content::html(text), Content::markdown(text)] {
        content.to_markdown();
    }
    html_of(text);
    Mail::parse(text).write();
    if let Some(mail) = MailPart::parse(text.as_bytes()) {
        mail.read().into_note(true).to_markdown();
    }
    let html = MailPart { media_type: "text/html".to_owned(), text: Some(text.to_owned()), ..MailPart::default() };
    html.read().into_note(false).to_markdown();
}

fn write_all(document: &Document) {
    Document::from_markdown(&document.to_markdown()).to_markdown();
    document.to_mrkdwn();
    document.to_adf();
    document.first_line();
}

#[test]
fn no_parser_panics_on_generated_input() {
    let mut numbers = Numbers(1);
    for round in 0..400 {
        read_all(&text(&mut numbers, 1 + round % 60));
    }
    for _ in 0..200 {
        let nodes: Vec<_> = (0..4).map(|_| node(&mut numbers, 0)).collect();
        write_all(&Document::from_adf(&json!({ "type": "doc", "content": nodes })));
    }
}

/// Time of this thread on a processor, in nanoseconds. `None` where the system does not say.
fn processor_time() -> Option<u64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split_whitespace().next()?.parse().ok()
}

#[test]
fn time_to_read_markdown_grows_with_its_length() {
    grows_with_the_length(|text| drop(Document::from_markdown(text).to_markdown()));
    grows_with_the_length(|text| drop(html_of(text)));
}

#[test]
fn time_to_read_html_grows_with_its_length() {
    grows_with_the_length(|text| drop(Document::from_html(text).to_markdown()));
}

#[test]
fn time_to_read_mrkdwn_grows_with_its_length() {
    let workspace = Workspace { url: "https://a.slack.com/", name_of: &|_| None };
    grows_with_the_length(|text| drop(Document::from_mrkdwn(text, &workspace).to_mrkdwn()));
}

#[test]
fn time_to_read_text_and_mails_grows_with_their_length() {
    grows_with_the_length(|text| drop(Content::text(text).to_markdown()));
    grows_with_the_length(|text| drop(Mail::parse(text)));
}

fn grows_with_the_length(parse: impl Fn(&str)) {
    if processor_time().is_none() {
        eprintln!("skipped: the system does not say how long a thread was on a processor");
        return;
    }
    let patterns = [
        "word ",
        "*a ",
        "**a** ",
        "*a* b",
        "_a*b",
        "~~a",
        "`a",
        "[a](",
        "![a",
        "[",
        "]",
        "<",
        "> ",
        ">",
        "&gt; ",
        "<b>",
        "<div>",
        "<p>a",
        "<blockquote>a",
        "<ul><li>a",
        "<table><tr><td>a",
        "<a href=x>a",
        "&amp;",
        "\\*",
        "https://a.test/(_x ",
        "- a\n",
        "1. a\n",
        "> a\n",
        "a\n\n",
        "| a ",
        "**a**b ",
        "a:\n",
        "On 1 May 2026 Bo wrote:\n",
        "From: a@b\n",
        "-- \n",
        "```\n",
        "<@U1> ",
        "*a <",
        "👍",
    ];
    // The system counts in steps of some milliseconds, so a text is parsed again until more than that has passed.
    let took = |text: &str| {
        let begin = processor_time().unwrap_or_default();
        for runs in 1..=10_000 {
            parse(text);
            let all = processor_time().unwrap_or_default() - begin;
            if all >= 16_000_000 {
                return all / runs;
            }
        }
        0
    };
    let mut slow = Vec::new();
    for pattern in patterns {
        let input = |length: usize| pattern.repeat(length / pattern.len());
        let (short, long) = (input(4_000), input(32_000));
        // Eight times as much takes eight times as long, with room for caches; with its square it would be 64 times.
        // What else the machine does makes a text slower now and then, but not three times.
        let too_slow = |_| took(&long) > 24 * took(&short).max(1);
        if (0..3).all(too_slow) {
            slow.push(format!("`{}`: {} ns, then {} ns", pattern.trim(), took(&short), took(&long)));
        }
    }
    assert!(slow.is_empty(), "{}", slow.join("\n"));
}
