// The sending side of Slack's Events API. emulate 0.11.2 builds events but has no way to
// subscribe to them and never signs them; the envelope and signature here follow Slack's documents.
import { createHmac, randomUUID } from "node:crypto";
import { deliver } from "./deliveries.mjs";

export function wireSlack(s) {
  s.signingSecret = s.cfg.signing_secret ?? "slack-signing-secret";
  s.webhooks.setHeaderFactory(({ body, subscription }) => slackHeaders(subscription.secret, body));
  const dispatch = s.webhooks.dispatch.bind(s.webhooks);
  s.webhooks.dispatch = (event, action, payload, owner, repo) => dispatch(event, action, slackEnvelope(s, payload), owner, repo);
}
function slackHeaders(secret, body) {
  const ts = String(Math.floor(Date.now() / 1000));
  return {
    "Content-Type": "application/json", "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
    "X-Slack-Request-Timestamp": ts, "X-Slack-Signature": "v0=" + createHmac("sha256", secret).update(`v0:${ts}:${body}`).digest("hex"),
  };
}
function slackEnvelope(s, payload) {
  const app = s.store.collection("slack.oauth_apps").all()[0];
  const team = s.store.collection("slack.teams").all()[0]?.team_id;
  const user = s.store.collection("slack.users").all().find((u) => u.name === app?.bot_name)?.user_id;
  const event = { ...payload.event };
  event.event_ts ??= event.ts ?? (Date.now() / 1000).toFixed(6);
  if (event.type === "message" && event.channel && !event.channel_type) {
    const ch = s.store.collection("slack.channels").findOneBy("channel_id", event.channel);
    event.channel_type = ch?.is_im ? "im" : ch?.is_mpim ? "mpim" : ch?.is_private ? "group" : "channel";
  }
  return {
    token: "verification-token", team_id: team, api_app_id: app?.app_id, event, type: "event_callback",
    event_id: "Ev" + randomUUID().replace(/-/g, "").slice(0, 10).toUpperCase(), event_time: Math.floor(Date.now() / 1000),
    authorizations: [{ enterprise_id: null, team_id: team, user_id: user ?? null, is_bot: true, is_enterprise_install: false }], is_ext_shared_channel: false,
  };
}
export async function slackSubscribe(s, { url, signing_secret, events = ["*"] }) {
  const secret = signing_secret ?? s.signingSecret;
  const challenge = randomUUID();
  const body = JSON.stringify({ token: "verification-token", challenge, type: "url_verification" });
  const r = await deliver(url, { headers: slackHeaders(secret, body), body }, { url_verification: true });
  const text = await r.text();
  let echoed = text;
  try { echoed = JSON.parse(text).challenge; } catch { /* plain text */ }
  if (r.status !== 200 || String(echoed).trim() !== challenge) throw Object.assign(new Error(`url_verification failed: ${r.status} ${text.slice(0, 100)}`), { status: 422 });
  return s.webhooks.register({ url, events, active: true, secret, owner: "slack" });
}
