"""Mails made by Python's `email` package, each with the note that it is to become.

Prints a JSON list of {"name", "mail" (base64), "note" (markdown), "files" (names)}. It has no input.
"""

import base64
import json
from email import charset, encoders, policy
from email.header import Header
from email.message import EmailMessage, Message
from email.mime.application import MIMEApplication
from email.mime.base import MIMEBase
from email.mime.image import MIMEImage
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from email.mime.text import MIMEText
from email.utils import formataddr

MAILS = []
PNG = base64.b64decode("iVBORw0KGgo=")


def add(name, mail, note, files=()):
    raw = mail if isinstance(mail, bytes) else mail.as_bytes(policy=mail.policy.clone(linesep="\r\n"))
    MAILS.append({"name": name, "mail": base64.b64encode(raw).decode(), "note": note, "files": list(files)})


def head(mail, subject="Lunch"):
    mail["From"] = formataddr(("Bo Lee", "bo@other.test"))
    mail["To"] = "ada@acme.test"
    mail["Subject"] = subject
    mail["Message-ID"] = "<1@other.test>"
    return mail


def modern(text, **options):
    mail = head(EmailMessage(policy=policy.SMTP))
    mail.set_content(text, **options)
    return mail


# Charsets and transfer encodings.
TEXTS = {
    "utf-8": "Grüße aus Zürich – 10 € für Łukasz, 山田さん 👍",
    "iso-8859-1": "Grüße aus Zürich, à bientôt",
    "iso-8859-15": "Ça coûte 10 € à Genève",
    "windows-1252": "“Smart” quotes – and 10 €",
    "iso-8859-2": "Zażółć gęślą jaźń",
    "windows-1250": "Příliš žluťoučký kůň",
    "windows-1251": "Встреча в четверг",
    "koi8-r": "Встреча в четверг",
    "iso-8859-7": "Καλημέρα σας",
    "iso-8859-9": "İyi günler, görüşürüz",
    "iso-2022-jp": "木曜日で大丈夫です。",
    "shift_jis": "木曜日で大丈夫です。",
    "euc-jp": "木曜日で大丈夫です。",
    "gb2312": "好的，星期四见。",
    "gb18030": "好的，星期四见。",
    "big5": "好的，星期四見。",
    "euc-kr": "목요일에 만나요.",
}
for name, text in TEXTS.items():
    encoding = "7bit" if name == "iso-2022-jp" else "base64"
    mail = head(MIMENonMultipart("text", "plain", charset=name))
    raw = text.encode(name)
    if encoding == "base64":
        mail.set_payload(raw)
        encoders.encode_base64(mail)
    else:
        mail.set_payload(raw.decode("ascii"))
        mail["Content-Transfer-Encoding"] = "7bit"
    add(f"charset {name}", mail, text)
add("quoted-printable", modern("Grüße = 100 %\nund eine sehr lange Zeile " + "wort " * 30 + "Ende", cte="quoted-printable"),
    "Grüße = 100 %\nund eine sehr lange Zeile " + "wort " * 30 + "Ende")
add("8bit", modern("Grüße", cte="8bit"), "Grüße")
add("ascii 7bit", modern("Hello"), "Hello")

# Alternatives, related parts, attachments.
mail = modern("Plain text")
mail.add_alternative("<p>Rich <b>text</b></p>", subtype="html")
add("alternative", mail, "Rich **text**")
mail = modern("Plain text")
mail.add_alternative("<html><body>&nbsp;</body></html>", subtype="html")
add("alternative with an empty html", mail, "Plain text")
mail = modern("See the plan")
mail.add_alternative('<p>See <img src="cid:plan@x" alt="the plan"></p>', subtype="html")
mail.get_payload()[1].add_related(PNG, "image", "png", cid="<plan@x>")
add("related in an alternative", mail, "See ![the plan](cid:plan@x)", ["image.png"])
mail = modern("With a file")
mail.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="Übersicht.pdf")
mail.add_attachment("a,b\n", subtype="csv", filename="data.csv")
add("attachments", mail, "With a file", ["Übersicht.pdf", "data.csv"])
mail = modern("Read the other mail")
inner = modern("This is the inner mail")
mail.add_attachment(inner)
add("attached mail", mail, "Read the other mail", ["message.eml"])
mail = modern("Please come")
mail.add_alternative("<p>Please <i>come</i></p>", subtype="html")
mail.add_alternative("BEGIN:VCALENDAR\r\nEND:VCALENDAR", subtype="calendar", params={"method": "REQUEST"})
add("invitation", mail, "Please *come*", ["invitation.ics"])
mail = head(MIMEMultipart("mixed"))
mail.attach(MIMEText("First", "plain", "utf-8"))
mail.attach(MIMEImage(PNG, "png", name="a.png"))
mail.attach(MIMEText("Second", "plain", "utf-8"))
add("text, picture, text", mail, "First\n\nSecond", ["a.png"])
mail = head(MIMEMultipart("mixed"))
both = MIMEMultipart("alternative")
both.attach(MIMEText("Plain", "plain", "utf-8"))
both.attach(MIMEText("<p>Rich</p>", "html", "utf-8"))
mail.attach(both)
mail.attach(MIMEText("Below the rest", "plain", "utf-8"))
add("alternative, then text", mail, "Rich\n\nBelow the rest")
mail = head(MIMEMultipart("alternative"))
mail.attach(MIMEText("Plain", "plain", "utf-8"))
inner = MIMEMultipart("related")
inner.attach(MIMEText("<p>Rich</p>", "html", "utf-8"))
inner.attach(MIMEImage(PNG, "png"))
mail.attach(inner)
add("related without ids", mail, "Rich", ["image.png"])
add("html alone", head(MIMEText("<p>One</p><p>Two &amp; three</p>", "html", "utf-8")), "One\n\nTwo & three")
mail = head(MIMEMultipart("mixed"))
mail.attach(MIMEText("<p>Rich</p>", "html", "utf-8"))
part = MIMEText("log line", "plain", "utf-8")
part.add_header("Content-Disposition", "attachment", filename="log.txt")
mail.attach(part)
add("text attached", mail, "Rich", ["log.txt"])
mail = head(MIMEMultipart("mixed"))
mail.attach(MIMEApplication(b"x", "pdf", name="scan.pdf"))
mail.attach(MIMEText("The text is second", "plain", "utf-8"))
add("file before the text", mail, "The text is second", ["scan.pdf"])

# Signed and encrypted.
mail = head(MIMEMultipart("signed", protocol="application/pgp-signature", micalg="pgp-sha256"))
mail.attach(MIMEText("Signed text", "plain", "utf-8"))
part = MIMENonMultipart("application", "pgp-signature")
part.set_payload("-----BEGIN PGP SIGNATURE-----\n\niQEz\n-----END PGP SIGNATURE-----")
mail.attach(part)
add("signed with PGP", mail, "Signed text", ["signature.asc"])
mail = head(MIMEMultipart("signed", protocol="application/pkcs7-signature", micalg="sha-256"))
mail.attach(MIMEText("Signed text", "plain", "utf-8"))
part = MIMEBase("application", "pkcs7-signature", name="smime.p7s")
part.set_payload(b"0")
encoders.encode_base64(part)
mail.attach(part)
add("signed with S/MIME", mail, "Signed text", ["smime.p7s"])

# Bounces and receipts.
mail = head(MIMEMultipart("report", **{"report-type": "delivery-status"}), "Undelivered")
mail.attach(MIMEText("The mailbox is full.", "plain", "us-ascii"))
status = Message()
status["Reporting-MTA"] = "dns; mx.other.test"
per = Message()
per["Final-Recipient"] = "rfc822; bo@other.test"
per["Action"] = "failed"
report = MIMEBase("message", "delivery-status")
report.set_payload([status, per])
mail.attach(report)
mail.attach(MIMEMessage(modern("<b>What was sent</b>", subtype="html")))
add("bounce", mail, "The mailbox is full.", ["delivery-status.txt", "message.eml"])
mail = head(MIMEMultipart("report", **{"report-type": "disposition-notification"}), "Read")
mail.attach(MIMEText("Your mail was read.", "plain", "us-ascii"))
disposition = Message()
disposition["Final-Recipient"] = "rfc822; bo@other.test"
report = MIMEBase("message", "disposition-notification")
report.set_payload([disposition])
mail.attach(report)
add("receipt", mail, "Your mail was read.", ["receipt.txt"])

# A digest, and headers in the old encodings.
mail = head(MIMEMultipart("mixed"), "Digest")
mail.attach(MIMEText("Topics of today", "plain", "utf-8"))
digest = MIMEMultipart("digest")
digest.attach(MIMEMessage(modern("One")))
digest.attach(MIMEMessage(modern("Two")))
mail.attach(digest)
add("digest", mail, "Topics of today", ["message.eml", "message-2.eml"])
charset.add_charset("utf-8", charset.QP, charset.QP, "utf-8")
mail = MIMEText("Größe", "plain", "utf-8")
mail["From"] = Header("Müller", "iso-8859-1").encode() + " <m@other.test>"
mail["Subject"] = Header("Größe", "utf-8")
add("legacy headers", mail, "Größe")
add("answer with a quotation", modern("Yes.\n\nOn Mon, 5 Jan 2026 at 10:00, Ada <ada@acme.test> wrote:\n> Thursday?\n"), "Yes.")

print(json.dumps(MAILS))
