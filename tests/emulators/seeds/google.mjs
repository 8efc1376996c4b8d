// Two people; one has mail, two calendars with events, and files. The same ids and
// texts at every start.
import { prng, title, body, remark } from "../load/data.mjs";

// Fixed, so that the seed is the same on every day.
const BASE = Date.parse("2026-11-01T08:00:00Z");
const DAY = 86400e3;
const iso = (ms) => new Date(ms).toISOString();

export function seed() {
  const r = prng(99);
  const me = "alice@acme.example";
  const others = ["bob@acme.example", "carol@acme.example", "billing@vendor.example", "news@letters.example", "hr@acme.example"];
  const messages = [];
  for (let t = 0; t < 40; t++) {
    const subject = t === 11 ? "Rückfrage: Grüße & 日本語の件名 ✓" : title(r);
    const from = r.pick(others);
    const n = 1 + (t === 5 ? 14 : r.int(4));
    for (let i = 0; i < n; i++) {
      const at = BASE - (40 - t) * DAY + i * 5400e3;
      const mine = i % 2 === 1;
      messages.push({
        id: `msg_${t}_${i}`, thread_id: `thr_${t}`, user_email: me, from: mine ? `Alice Nguyen <${me}>` : `Someone <${from}>`, to: mine ? from : me, ...(r.chance(0.2) ? { cc: r.pick(others) } : {}),
        subject: i ? `Re: ${subject}` : subject, date: iso(at), message_id: `<m${t}.${i}@mail.acme.example>`, ...(i ? { in_reply_to: `<m${t}.${i - 1}@mail.acme.example>`, references: `<m${t}.0@mail.acme.example>` } : {}),
        body_text: `${remark(r)}\n\n-- \n${mine ? "Alice" : "S."}\n`, ...(r.chance(0.3) ? { body_html: `<p>${remark(r)}</p><blockquote>quoted</blockquote>` } : {}),
        label_ids: mine ? ["SENT"] : ["INBOX", ...(r.chance(0.4) ? ["UNREAD"] : []), ...(r.chance(0.1) ? ["STARRED"] : []), ...(from.startsWith("news") ? ["CATEGORY_PROMOTIONS"] : []), ...(r.chance(0.1) ? ["Label_ops"] : [])],
      });
    }
  }
  const events = [];
  for (let i = 0; i < 60; i++) {
    const start = BASE - 20 * DAY + i * DAY * 0.7;
    const allDay = i % 9 === 4;
    events.push({
      id: `evt_${i}`, user_email: me, calendar_id: i % 5 === 0 ? "cal_team" : "primary", summary: i === 8 ? "Zürich ✈ Besuch" : `${r.pick(["1:1", "Planning", "Review", "Interview", "Standup", "Demo"])} ${r.pick(["Platform", "Mobile", "Sales"])}`,
      ...(r.chance(0.4) ? { description: remark(r) } : {}), ...(r.chance(0.3) ? { location: "Room 4" } : {}), status: i % 20 === 13 ? "tentative" : "confirmed",
      ...(allDay ? { start_date: iso(start).slice(0, 10), end_date: iso(start + DAY).slice(0, 10) } : { start_date_time: iso(start), end_date_time: iso(start + 1800e3) }),
      attendees: r.chance(0.7) ? [{ email: me, display_name: "Alice Nguyen" }, ...r.some(others.slice(0, 2), 2).map((email) => ({ email }))] : [],
      ...(r.chance(0.3) ? { conference_entry_points: [{ entry_point_type: "video", uri: `https://meet.google.com/emu-${i}`, label: "Meet" }] } : {}),
    });
  }
  return {
    tokens: { "ya29.emulator-alice": { login: me, service: "google", scopes: ["openid", "email"] }, "ya29.emulator-bob": { login: "bob@acme.example", service: "google", scopes: ["openid", "email"] } },
    google: {
      users: [{ email: me, name: "Alice Nguyen", hd: "acme.example" }, { email: "bob@acme.example", name: "Bob Ray", hd: "acme.example" }],
      oauth_clients: [{ client_id: "emulator-host.apps.googleusercontent.com", client_secret: "GOCSPX-emulator-secret", name: "Connector Host", redirect_uris: ["$CALLBACK"] }],
      labels: [{ id: "Label_ops", user_email: me, name: "Ops/Review", color_background: "#DDEEFF", color_text: "#111111" }],
      messages,
      calendars: [{ id: "primary", user_email: me, summary: me, primary: true, time_zone: "Europe/Berlin" }, { id: "cal_team", user_email: me, summary: "Team", time_zone: "UTC" }, { id: "cal_readonly", user_email: me, summary: "Holidays", access_role: "reader", selected: false }],
      calendar_events: events,
      drive_items: [{ id: "drv_docs", user_email: me, name: "Docs", mime_type: "application/vnd.google-apps.folder", parent_ids: ["root"] }, ...Array.from({ length: 24 }, (_, i) => ({ id: `drv_${i}`, user_email: me, name: `${title(r)}.md`.replaceAll("/", "-"), mime_type: "text/markdown", parent_ids: [i % 3 ? "drv_docs" : "root"], data: body(r) || "empty" }))],
    },
  };
}
