// Outgoing webhooks: what was sent, and how (repeated, late, lost). emulate sends
// them with the global fetch, so everything it sends passes here.
import { RealDate, sleep } from "./clock.mjs";
import { HOST } from "./listen.mjs";

export const realFetch = globalThis.fetch;
export const sent = [];
const KEPT = 5000;
let lastId = 0;

const PLAIN = { duplicate: 1, delay_ms: 0, drop: 0, retries: 0, retry_delay_ms: 200 };
let policy = PLAIN;
let rnd = random(1);

export function setPolicy(changes) {
  policy = { ...PLAIN, ...changes };
  rnd = random(changes.seed ?? 1);
  return policy;
}

function random(a) {
  return () => {
    a |= 0; a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function record(entry) {
  const whole = { id: ++lastId, at: new RealDate().toISOString(), ...entry };
  sent.push(whole);
  if (sent.length > KEPT) sent.shift();
  return whole;
}

export async function deliver(url, init, meta) {
  const entry = record({ url: String(url), headers: { ...init.headers }, body: init.body, status: null, error: null, ...meta });
  try {
    const r = await realFetch(url, { method: "POST", headers: init.headers, body: init.body, redirect: "manual", signal: AbortSignal.timeout(10000) });
    entry.status = r.status;
    entry.response = (await r.text()).slice(0, 300);
    return new Response(entry.response, { status: r.status });
  } catch (e) {
    entry.error = String(e?.cause?.message ?? e?.message ?? e);
    throw e;
  }
}
globalThis.fetch = async (url, init = {}) => {
  const u = new URL(String(url?.url ?? url));
  if (u.hostname !== HOST && u.hostname !== "localhost" && u.hostname !== "[::1]") {
    record({ url: u.href, refused: "not loopback" });
    throw new TypeError("emulators only talk to loopback: " + u.host);
  }
  if ((init.method ?? "GET") !== "POST") return realFetch(url, init);
  if (init.headers?.["Linear-Event"]) init = { ...init, headers: { ...init.headers, "Linear-Timestamp": String(JSON.parse(init.body).webhookTimestamp) } };
  if (rnd() < policy.drop) {
    record({ url: u.href, headers: { ...init.headers }, body: init.body, dropped: true });
    return new Response("dropped", { status: 200 });
  }
  const wait = Array.isArray(policy.delay_ms) ? policy.delay_ms[0] + rnd() * (policy.delay_ms[1] - policy.delay_ms[0]) : policy.delay_ms;
  const go = async () => {
    if (wait) await sleep(wait);
    let res, attempt = 0;
    for (;;) {
      try { res = await deliver(url, init, attempt ? { retry: attempt } : {}); } catch (e) { if (attempt >= policy.retries) throw e; res = null; }
      if (res?.ok || attempt >= policy.retries) break;
      attempt++;
      await sleep(policy.retry_delay_ms * attempt);
    }
    for (let i = 1; i < policy.duplicate; i++) await deliver(url, init, { duplicate: i });
    return res;
  };
  // With a delay, do not hold up the API call that caused the event.
  if (wait) { go().catch(() => {}); return new Response("queued", { status: 200 }); }
  return go();
};

export async function redeliver({ id, times = 1 }) {
  const d = sent.find((x) => x.id === id);
  if (!d?.body) throw Object.assign(new Error("no such delivery"), { status: 404 });
  const status = [];
  for (let i = 0; i < times; i++) {
    await deliver(d.url, { headers: d.headers, body: d.body }, { redelivery_of: d.id }).catch(() => {});
    status.push(sent.at(-1).status);
  }
  return { status };
}
