// What tests say to the emulators, as JSON over HTTP; the calls are listed in ../README.md.
import http from "node:http";
import { approve } from "./approve.mjs";
import { RealDate, clock } from "./clock.mjs";
import { redeliver, sent, setPolicy } from "./deliveries.mjs";
import { addFault, faults } from "./faults.mjs";
import { HOST, listenFree } from "./listen.mjs";
import { checkpoint, requestLog, reset } from "./service.mjs";
import { slackSubscribe } from "./slack.mjs";

/** Starts the endpoint; `environment()` is the printed text, `stop()` ends the process. */
export async function startControl({ services, environment, stop }) {
  const pick = (n) => (n ? [services[n] ?? (() => { throw Object.assign(new Error(`service not running: ${n}`), { status: 404 }); })()] : Object.values(services));
  const one = (n) => pick(n ?? "?")[0];

  const routes = {
    "GET /health": () => ({ ok: true, pid: process.pid, rss_mb: Math.round(process.memoryUsage.rss() / 1048576), services: Object.fromEntries(Object.values(services).map((s) => [s.name, s.url])) }),
    "GET /env": environment,
    "POST /reset": (b) => { pick(b.service).forEach((s) => reset(s, b.to)); if (!b.service) { faults.length = 0; requestLog.length = 0; sent.length = 0; clock.offset = 0; } return { ok: true }; },
    "POST /checkpoint": (b) => { pick(b.service).forEach(checkpoint); return { ok: true }; },
    "GET /store": (b, q) => one(q.get("service")).store.snapshot().collections,
    "GET /requests": (b, q) => requestLog.filter((r) => (!q.get("service") || r.service === q.get("service")) && r.id > Number(q.get("after") ?? 0)),
    "DELETE /requests": () => { requestLog.length = 0; return { ok: true }; },
    "GET /webhooks": (b, q) => sent.filter((d) => d.id > Number(q.get("after") ?? 0)),
    "POST /webhooks/redeliver": redeliver,
    "POST /webhooks/policy": setPolicy,
    "POST /faults": addFault,
    "GET /faults": () => faults,
    "DELETE /faults": () => { faults.length = 0; return { ok: true }; },
    "POST /ratelimit": (b) => { const s = one(b.service); s.limits.clear(); s.limit = b.limit == null ? null : { limit: b.limit, window_s: b.window_s ?? 3600 }; return { ok: true }; },
    "POST /clock": (b) => { if (b.set) clock.offset = RealDate.parse(b.set) - RealDate.now(); if (b.advance_s) clock.offset += b.advance_s * 1000; if (b.reset) clock.offset = 0; return { now: new Date().toISOString() }; },
    "POST /tokens": (b) => {
      const s = one(b.service);
      if (b.service === "slack") s.store.collection("slack.tokens").insert({ token: b.token, token_type: b.type ?? "test", team_id: "T000000001", user_id: b.login, scopes: b.scopes ?? [] });
      else if (b.service === "linear") s.store.collection("linear.tokens").insert({ token: b.token, type: "personal", actor_type: "user", user_id: b.login, app_id: null, scopes: b.scopes ?? ["read", "write"], expires_at: b.expires_at ?? null, revoked: false, refresh_token: null });
      else s.tokenMap.set(b.token, { login: b.login, id: Date.now(), scopes: b.scopes ?? [] });
      return { ok: true };
    },
    // Makes an access (or refresh) token unknown: the next call with it gets the provider's 401.
    "DELETE /tokens": (b) => {
      const s = one(b.service);
      let n = 0;
      const del = (t) => { if (s.tokenMap.delete(t)) n++; };
      if (b.all) { n += s.tokenMap.size; s.tokenMap.clear(); } else if (b.token) del(b.token);
      for (const name of ["slack.tokens", "linear.tokens"]) if (s.name === name.split(".")[0]) {
        const col = s.store.collection(name);
        for (const t of col.all()) if (b.all ? b.all === true || t.type === b.all || t.token_type === b.all : t.token === b.token) { col.delete(t.id); n++; }
      }
      for (const key of ["google.oauth.refreshTokens", "microsoft.oauth.refreshTokens"]) if (b.refresh) { const m = s.store.getData(key); if (m) { n += m.size; m.clear(); } }
      return { removed: n };
    },
    "POST /slack/subscribe": async (b) => slackSubscribe(one("slack"), b),
    "POST /oauth/approve": (b) => approve(services, b),
    "POST /stop": () => { setTimeout(stop, 20); return { ok: true }; },
  };

  const server = await listenFree((port) => http.createServer(async (req, res) => {
    const url = new URL(req.url, "http://control");
    const chunks = [];
    for await (const c of req) chunks.push(c);
    try {
      const text = Buffer.concat(chunks).toString();
      const route = routes[`${req.method} ${url.pathname}`];
      if (!route) throw Object.assign(new Error(`no such control route; known: ${Object.keys(routes).join(", ")}`), { status: 404 });
      const out = await route(text ? JSON.parse(text) : {}, url.searchParams);
      res.writeHead(200, { "content-type": typeof out === "string" ? "text/plain" : "application/json" });
      res.end(typeof out === "string" ? out : JSON.stringify(out));
    } catch (e) {
      res.writeHead(e.status ?? 500, { "content-type": "application/json" });
      res.end(JSON.stringify({ error: e.message }));
    }
  }).listen(port, HOST), 0);
  return { server, url: `http://${HOST}:${server.address().port}` };
}
