// One emulated service: emulate's own app behind a loopback port, and around each
// request what the real service does and emulate does not (see ../README.md).
import { randomUUID } from "node:crypto";
import { RealDate, clock, sleep } from "./clock.mjs";
import { rateLimit, setLimitHeaders, sha, takeFault, throttled } from "./faults.mjs";
import { githubHeaders } from "./github.mjs";
import { linearAuth, linearWebhookSecret } from "./linear.mjs";
import { HOST, listenFree } from "./listen.mjs";
import { applyTimestamps } from "./seeds.mjs";
import { wireSlack } from "./slack.mjs";

export const requestLog = [];
let lastRequest = 0;

export async function startService(emulate, seed, name, port) {
  const s = { name, handler: () => new Response("starting", { status: 503 }), seq: 0, limits: new Map() };
  s.server = await listenFree((p) => emulate.serve({ fetch: (req) => s.handler(req), port: p, hostname: HOST }), port);
  s.port = s.server.address().port;
  s.url = `http://${HOST}:${s.port}`;
  const entry = emulate.registry[name];
  const loaded = await entry.load();
  let cfg = seed[name];
  if (cfg && loaded.prepareSeed) {
    const p = await loaded.prepareSeed(cfg);
    cfg = p.config;
    s.secrets = p.generatedSecrets;
  }
  s.cfg = cfg ?? {};
  const tokens = {};
  let id = 100;
  for (const [t, u] of Object.entries(seed.tokens)) {
    if (!u.service || u.service === name) tokens[t] = { login: u.login, id: id++, scopes: u.scopes };
  }
  let resolver;
  const made = emulate.createServer(loaded.plugin, {
    port: s.port, baseUrl: s.url, tokens,
    appKeyResolver: loaded.createAppKeyResolver ? (appId) => resolver(appId) : undefined,
    // With one, emulate lets any unknown bearer token in as that user.
    fallbackUser: undefined,
  });
  Object.assign(s, { app: made.app, store: made.store, webhooks: made.webhooks, tokenMap: made.tokenMap });
  resolver = loaded.createAppKeyResolver?.(made.store);
  s.seedNow = () => {
    loaded.plugin.seed?.(s.store, s.url);
    if (cfg && loaded.seedFromConfig) loaded.seedFromConfig(s.store, s.url, cfg, s.webhooks);
    applyTimestamps(s.store, cfg?.timestamps);
  };
  s.seedNow();
  s.baseTokens = new Map(s.tokenMap);
  if (name === "github") s.webhooks.setHeaderFactory(githubHeaders);
  if (name === "slack") wireSlack(s);
  s.handler = (req) => handle(s, req);
  return s;
}

async function handle(s, incoming) {
  const started = RealDate.now();
  const url = new URL(incoming.url);
  const body = incoming.method === "GET" || incoming.method === "HEAD" ? null : Buffer.from(await incoming.arrayBuffer());
  const entry = {
    id: ++lastRequest, service: s.name, at: new RealDate().toISOString(), method: incoming.method, path: url.pathname, query: url.search.slice(1),
    headers: Object.fromEntries(incoming.headers), body: body?.length ? body.toString("utf8").slice(0, 65536) : undefined,
  };
  if (entry.headers.authorization) {
    entry.token_sha256 = sha(entry.headers.authorization.replace(/^(bearer|token)\s+/i, "")).slice(0, 16);
    entry.headers.authorization = entry.headers.authorization.replace(/(\S+\s)?\S+$/, "$1<redacted>");
  }
  requestLog.push(entry);
  if (requestLog.length > 50000) requestLog.shift();
  let res;
  try {
    res = await respond(s, incoming, url, body, entry);
  } catch (e) {
    res = Response.json({ message: String(e?.message ?? e) }, { status: 500 });
  }
  entry.status = res.status;
  entry.ms = RealDate.now() - started;
  return res;
}

async function respond(s, incoming, url, body, entry) {
  const headers = new Headers(incoming.headers);
  const fault = takeFault(s, incoming, url, body);
  if (fault) {
    entry.fault = fault.id;
    if (fault.delay_ms) await sleep(fault.delay_ms);
    if (fault.hang_ms) { await sleep(fault.hang_ms); return new Response("gateway timeout", { status: 504 }); }
    if (fault.throttle) return throttled(s, fault);
    if (fault.status) return new Response(fault.body ?? JSON.stringify({ message: "injected fault" }), { status: fault.status, headers: { "content-type": "application/json", ...fault.headers } });
  }

  let method = incoming.method, href = incoming.url;
  if (s.name === "github" && !headers.get("user-agent"))
    return new Response("Request forbidden by administrative rules. Please make sure your request has a User-Agent header.\n", { status: 403 });
  if (s.name === "linear" && url.pathname === "/graphql") {
    const bad = linearAuth(s, headers);
    if (bad) return bad;
  }
  if (s.name === "slack" && method === "GET" && url.pathname.startsWith("/api/")) {
    // Slack takes GET with a query string for every read method; emulate only POST.
    method = "POST";
    body = Buffer.from(url.search.slice(1));
    headers.set("content-type", "application/x-www-form-urlencoded");
    href = url.origin + url.pathname;
  }
  if (s.name === "linear" && method === "POST" && body?.includes("webhookCreate")) body = linearWebhookSecret(body);
  const limited = rateLimit(s, headers);
  if (limited?.response) return limited.response;

  const instant = headers.get("x-emu-clock");
  headers.delete("x-emu-clock");
  let res;
  if (instant) clock.fixed = RealDate.parse(instant);
  try {
    res = await s.app.fetch(new Request(href, { method, headers, body: body?.length ? body : method === "GET" || method === "HEAD" ? undefined : "" }));
  } finally {
    if (instant) clock.fixed = null;
  }
  if (fault?.delay_after_ms) await sleep(fault.delay_after_ms); // the answer is stale by then
  const out = new Headers(res.headers);
  if (s.name !== "github") for (const h of ["limit", "remaining", "reset", "resource"]) out.delete(`x-ratelimit-${h}`);
  else if (limited?.counter) setLimitHeaders(out, limited.counter);

  const buf = res.status === 204 || res.status === 304 ? null : Buffer.from(await res.arrayBuffer());
  let payload = buf;
  if (s.name === "slack" && buf && headers.get("authorization") && buf.includes('"error":"not_authed"'))
    payload = Buffer.from(buf.toString().replace('"error":"not_authed"', '"error":"invalid_auth"'));
  if (s.name === "github" && method === "GET" && res.status === 200 && (out.get("content-type") ?? "").includes("json")) {
    const etag = `W/"${sha(payload)}"`;
    out.set("etag", etag);
    out.set("cache-control", "private, max-age=60, s-maxage=60");
    out.set("vary", "Accept, Authorization, Cookie, X-GitHub-OTP");
    const inm = headers.get("if-none-match");
    if (inm && inm.split(",").map((x) => x.trim().replace(/^W\//, "")).includes(etag.replace(/^W\//, ""))) {
      if (limited?.counter) { limited.counter.remaining++; setLimitHeaders(out, limited.counter); } // a 304 costs nothing
      out.delete("content-type");
      return new Response(null, { status: 304, headers: out });
    }
  }
  if (s.name === "github" && !out.has("x-github-request-id")) out.set("x-github-request-id", randomUUID().slice(0, 18).toUpperCase());
  if (payload && !fault?.truncate) out.set("content-length", String(payload.length));
  if (fault?.truncate && payload) {
    const cut = payload.subarray(0, Math.min(payload.length - 1, fault.truncate));
    return new Response(new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(cut)); setTimeout(() => c.error(new Error("cut")), 20); } }, { highWaterMark: 0 }), { status: res.status, headers: out });
  }
  return new Response(payload, { status: res.status, headers: out });
}

const checkpoints = {};
export function checkpoint(s) {
  checkpoints[s.name] = { store: structuredClone(s.store.snapshot()), tokens: new Map(s.tokenMap), subs: s.webhooks.getSubscriptions().map((x) => ({ ...x })) };
}
export function reset(s, what) {
  s.webhooks.clear();
  s.tokenMap.clear();
  if (what !== "seed" && checkpoints[s.name]) {
    const c = checkpoints[s.name];
    s.store.restore(structuredClone(c.store));
    for (const [k, v] of c.tokens) s.tokenMap.set(k, v);
    for (const sub of c.subs) s.webhooks.register(sub);
  } else {
    s.store.reset();
    s.seedNow();
    for (const [k, v] of s.baseTokens) s.tokenMap.set(k, v);
  }
  s.limits.clear();
}
