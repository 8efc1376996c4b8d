//! What is quoted, by the phrases of mail programs, and what only looks so.

use super::phrases::{ATTRIBUTIONS, FIELDS, FORWARDED, ORIGINAL};
use super::{Mail, QuotationKind, is_forwarded, reply_subject};

/// Lines that mail programs write above what they quote, with the languages of the table that they are of.
const LINES: &[(&str, &str)] = &[
    // Gmail
    ("en", "On Mon, Jan 5, 2026 at 10:00 AM Bo Lee <bo@other.test> wrote:"),
    ("de", "Am Mo., 5. Jan. 2026 um 10:00 Uhr schrieb Bo Lee <bo@other.test>:"),
    ("fr", "Le lun. 5 janv. 2026 à 10:00, Bo Lee <bo@other.test> a écrit :"),
    ("es", "El lun, 5 ene 2026 a las 10:00, Bo Lee (<bo@other.test>) escribió:"),
    ("it", "Il giorno lun 5 gen 2026 alle ore 10:00 Bo Lee <bo@other.test> ha scritto:"),
    ("pt", "Em seg., 5 de jan. de 2026 às 10:00, Bo Lee <bo@other.test> escreveu:"),
    ("nl", "Op ma 5 jan 2026 om 10:00 schreef Bo Lee <bo@other.test>:"),
    ("sv, da, no", "Den mån 5 jan. 2026 kl 10:00 skrev Bo Lee <bo@other.test>:"),
    ("sv, da, no", "man. 5. jan. 2026 kl. 10:00 skrev Bo Lee <bo@other.test>:"),
    ("fi", "ma 5. tammik. 2026 klo 10.00 Bo Lee (bo@other.test) kirjoitti:"),
    ("pl", "pon., 5 sty 2026 o 10:00 Bo Lee <bo@other.test> napisał(a):"),
    ("cs, sk", "po 5. 1. 2026 v 10:00 odesílatel Bo Lee <bo@other.test> napsal:"),
    ("ru", "пн, 5 янв. 2026 г. в 10:00, Bo Lee <bo@other.test>:"),
    ("uk", "пн, 5 січ. 2026 р. о 10:00 Bo Lee <bo@other.test> пише:"),
    ("tr", "Bo Lee <bo@other.test>, 5 Oca 2026 Pzt, 10:00 tarihinde şunu yazdı:"),
    ("ja", "2026年1月5日(月) 10:00 山田太郎 <taro@other.test>:"),
    ("zh", "张伟 <wei@other.test> 于2026年1月5日周一 10:00写道："),
    ("zh", "張偉 <wei@other.test> 於 2026年1月5日 週一 上午10:00寫道："),
    ("ko", "2026년 1월 5일 (월) 오전 10:00, 김철수 <kim@other.test>님이 작성:"),
    ("hu", "Bo Lee <bo@other.test> ezt írta (időpont: 2026. jan. 5., H, 10:00):"),
    ("ro", "În lun., 5 ian. 2026 la 10:00, Bo Lee <bo@other.test> a scris:"),
    ("el", "Στις Δευ 5 Ιαν 2026 στις 10:00 π.μ., ο χρήστης Bo Lee <bo@other.test> έγραψε:"),
    (
        "he",
        "\u{202b}בתאריך יום ב׳, 5 בינו׳ 2026 ב-10:00 מאת \u{202a}Bo Lee\u{202c}\u{200f} <\u{202a}bo@other.test\u{202c}\u{200f}>:\u{202c}",
    ),
    ("ar", "في الاثنين، 5 يناير 2026 في 10:00 ص كتب Bo Lee <bo@other.test>:"),
    ("fa", "در تاریخ ۵ ژانویهٔ ۲۰۲۶، Bo Lee <bo@other.test> نوشت:"),
    ("bg", "На пн, 5.01.2026 г. в 10:00 ч. Bo Lee <bo@other.test> написа:"),
    ("hr, sr, sl", "Dana pon, 5. sij 2026. u 10:00 Bo Lee <bo@other.test> napisao je:"),
    ("et", "Kuupäev 5. jaanuar 2026 kell 10:00, Bo Lee <bo@other.test> kirjutas:"),
    ("lv", "Pirmd., 2026. g. 5. janv. plkst. 10:00 Bo Lee <bo@other.test> rakstīja:"),
    ("lt", "pirm., 2026-01-05 10:00 Bo Lee <bo@other.test> rašė:"),
    ("ca", "El dia 5 de gen. de 2026, a les 10:00, Bo Lee <bo@other.test> va escriure:"),
    ("vi", "Vào Th 2, 5 thg 1, 2026 vào lúc 10:00 Bo Lee <bo@other.test> đã viết:"),
    ("id, ms", "Pada tanggal Sen, 5 Jan 2026 pukul 10.00 Bo Lee <bo@other.test> menulis:"),
    ("th", "เมื่อ จ. 5 ม.ค. 2026 เวลา 10:00 Bo Lee <bo@other.test> เขียนว่า:"),
    // Apple Mail
    ("en", "On 5 Jan 2026, at 10:00, Bo Lee <bo@other.test> wrote:"),
    ("de", "Am 05.01.2026 um 10:00 schrieb Bo Lee <bo@other.test>:"),
    ("fr", "Le 5 janv. 2026 à 10:00, Bo Lee <bo@other.test> a écrit :"),
    ("ja", "2026/01/05 10:00、山田 太郎 <taro@other.test>のメール:"),
    ("zh", "在 2026年1月5日，10:00，张伟 <wei@other.test> 写道："),
    ("ko", "2026. 1. 5. 오전 10:00, 김철수 <kim@other.test> 작성:"),
    ("ru", "5 янв. 2026 г., в 10:00, Bo Lee <bo@other.test> написал(а):"),
    // Thunderbird
    ("en", "On 05/01/2026 10:00, Bo Lee wrote:"),
    ("en", "Bo Lee wrote on 05.01.26 10:00:"),
    ("de", "Am 05.01.26 um 10:00 schrieb Bo Lee:"),
    ("pl", "W dniu 5.01.2026 o 10:00, Bo Lee pisze:"),
    ("cs, sk", "Dne 05. 01. 26 v 10:00 Bo Lee napsal(a):"),
    ("pt", "Às 10:00 de 05/01/2026, Bo Lee escreveu:"),
    // Yahoo, Outlook for Mac, Proton, AOL
    ("en", "On Monday, January 5, 2026 at 10:00:00 AM GMT+1, Bo Lee <bo@other.test> wrote:"),
    ("en", "On 1/5/26, 10:00 AM, \"Bo Lee\" <bo@other.test> wrote:"),
    ("en", "On Monday, January 5th, 2026 at 10:00 AM, Bo Lee <bo@other.test> wrote:"),
    ("en", "In a message dated 1/5/2026 10:00:00 AM W. Europe Standard Time, bo@other.test writes:"),
    ("de", "Bo Lee <bo@other.test> schrieb am Mo., 5. Jan. 2026, 10:00:"),
];

#[test]
fn attribution_lines_of_each_language_are_known() {
    for (language, line) in LINES {
        let found = Mail::parse(&format!("Yes.\n\n{line}\n> Thursday?\n> Bo"));
        assert_eq!((found.text.as_str(), found.kind), ("Yes.", QuotationKind::Reply), "{language}: {line}");
        assert!(found.quoted.is_some_and(|quoted| quoted.starts_with(line)), "{line}");
        // As markdown has it, and broken where programs break lines.
        let markdown = line.replace('<', "\\<");
        assert_eq!(Mail::parse(&format!("Yes.\n\n{markdown}\n\n> Thursday?")).text, "Yes.", "{markdown}");
        let broken = line.replacen(" <", "\n<", 1);
        assert_eq!(Mail::parse(&format!("Yes.\n\n{broken}\n> Thursday?")).text, "Yes.", "{broken}");
    }
    for row in ATTRIBUTIONS {
        assert!(LINES.iter().any(|(language, _)| *language == row.languages), "{} has no example", row.languages);
    }
}

#[test]
fn header_blocks_of_each_language_are_known() {
    for fields in FIELDS {
        let (from, to, subject) = (fields.from[0], fields.to[0], fields.subject[0]);
        for when in fields.sent.iter().chain(fields.date) {
            for (mark, colon) in [("", ":"), ("**", ":"), ("", " :")] {
                let header = format!(
                    "{mark}{from}{colon}{mark} Bo Lee\n{mark}{when}{colon}{mark} 5.1.2026 10:00\n{mark}{to}{colon}{mark} Ann\n{mark}{subject}{colon}{mark} Lunch"
                );
                let found = Mail::parse(&format!("Yes.\n\n{header}\n\nThursday?\n\nBo"));
                assert_eq!(
                    (found.text.as_str(), found.kind),
                    ("Yes.", QuotationKind::Reply),
                    "{}: {header}",
                    fields.language
                );
                assert!(found.quoted.is_some_and(|quoted| quoted.ends_with("Bo")), "{header}");
            }
        }
    }
}

#[test]
fn headlines_above_other_mails_are_known() {
    for phrase in ORIGINAL {
        let mail = format!("Yes.\n\n-----{phrase}-----\nFrom: Bo\nSent: today\nTo: Ann\nSubject: Lunch\n\nThursday?");
        let found = Mail::parse(&mail);
        assert_eq!((found.text.as_str(), found.kind), ("Yes.", QuotationKind::Reply), "{phrase}");
    }
    for phrase in FORWARDED {
        let mail = format!(
            "See below.\n\n---------- {phrase} ---------\nFrom: Bo <bo@a.test>\nDate: today\nSubject: Lunch\nTo: Ann\n\nThursday?"
        );
        let found = Mail::parse(&mail);
        assert_eq!((found.text.as_str(), found.kind), ("See below.", QuotationKind::Forward), "{phrase}");
    }
}

/// The texts of the project's cases.
#[test]
fn only_the_first_paragraph_is_the_authors() {
    for text in [
        include_str!("../cases/13-quote-zh.txt"),
        include_str!("../cases/14-quote-fr-outlook.txt"),
        include_str!("../cases/16-quote-es-outlook.txt"),
        include_str!("../cases/17-quote-ja-outlook.txt"),
        include_str!("../cases/19-quote-without-marks.txt"),
    ] {
        let (own, other) = text.split_once("\n\n").unwrap();
        let found = Mail::parse(text);
        assert_eq!(found.text, own);
        assert_eq!(found.quoted.as_deref(), Some(other.trim_end()));
    }
}

/// Rulers, lists of names with colons, sentences that end with a colon: people write them too.
#[test]
fn nothing_is_quoted_because_of_its_shape() {
    let ruler = include_str!("../cases/02-dash-ruler.eml").split_once("\n\n").unwrap().1;
    for text in [
        ruler,
        "Trip\n\nFrom: Zurich\nTo: Berlin\nDate: 5 May 2026\n\nSee you there.",
        "From: the desk of Ann\n\nHello",
        "To: do\nFrom: now on\nit is yours",
        "The list\n____________________________________\nmilk\neggs",
        "As the council wrote in 2026:\n\nThere is no money.\n\nWhat now?",
        "Three options:\n\n- a\n- b",
        "----- Agenda -----\n\n1. Budget",
        "> Ready?\n\nYes.\n\n> Now?\n\nNo.",
        "Original message of hope\n\nread it",
        "What Bo wrote:\n\nnothing",
        ">From the start it was clear.",
    ] {
        let found = Mail::parse(text);
        assert_eq!((found.text.as_str(), &found.quoted), (text.trim_end(), &None), "{text}");
    }
}

/// Marks alone say that something is quoted, not by whom or whether it is known: it is kept.
#[test]
fn a_quotation_without_a_known_line_is_unsure() {
    for text in ["Yes.\n\n> Thursday?", "Yes.\n\nThe oracle of 2026 spoke thus:\n> Thursday?"] {
        let found = Mail::parse(text);
        assert_eq!((found.text.as_str(), found.kind), ("Yes.", QuotationKind::Unsure), "{text}");
        assert!(found.quoted.is_some_and(|quoted| quoted.ends_with("> Thursday?")));
    }
}

#[test]
fn what_stands_below_every_mail_is_no_text() {
    let list = "_______________________________________________\nteam mailing list\nteam@lists.example.test\nhttps://lists.example.test/team";
    let found = Mail::parse(&format!("Yes.\n\nOn 5 Jan 2026, Bo wrote:\n> Now?\n{list}"));
    assert_eq!((found.text.as_str(), found.quoted.as_deref()), ("Yes.", Some("On 5 Jan 2026, Bo wrote:\n> Now?")));
    assert_eq!(found.signature.as_deref(), Some(list));
    let found =
        Mail::parse("Yes.\n\nSent from my iPhone\n\n> On 5 Jan 2026, at 10:00, Bo <bo@a.test> wrote:\n>\n> Now?");
    assert_eq!((found.text.as_str(), found.signature.as_deref()), ("Yes.", Some("Sent from my iPhone")));
    let signed = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nHello\n- -- \nBo\n-----BEGIN PGP SIGNATURE-----\n\niQEz\n-----END PGP SIGNATURE-----";
    let found = Mail::parse(signed);
    assert_eq!(found.text, "Hello");
    assert!(found.signature.is_some_and(|signature| signature.starts_with("Bo") && signature.contains("iQEz")));
}

#[test]
fn subjects_say_what_a_mail_is() {
    for subject in ["Fwd: Lunch", "FW: Lunch", "WG: Mittag", "TR : Midi", "转发：午饭"] {
        assert!(is_forwarded(subject), "{subject}");
    }
    for subject in ["Re: Lunch", "Lunch", "Note: Fwd", ""] {
        assert!(!is_forwarded(subject), "{subject}");
    }
    assert_eq!(reply_subject("Lunch"), "Re: Lunch");
    for subject in ["RE: Lunch", "AW: Mittag", "回复：午饭", "Re: Re: x"] {
        assert_eq!(reply_subject(subject), subject);
    }
}
