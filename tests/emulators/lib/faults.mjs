// Answers that a test asked for: errors, throttling in each provider's words, rate limits.
import { createHash } from "node:crypto";

export const faults = [];
let lastId = 0;

export function addFault(spec) {
  const fault = { times: 1, skip: 0, hits: 0, ...spec, id: ++lastId };
  faults.push(fault);
  return fault;
}

export function takeFault(s, req, url, body) {
  for (const f of faults) {
    if (f.times === 0 || (f.service && f.service !== s.name) || (f.method && f.method !== req.method)) continue;
    if (f.path && !new RegExp(f.path).test(url.pathname + url.search)) continue;
    if (f.body_match && !(body && new RegExp(f.body_match).test(body.toString()))) continue;
    if (f.skip > 0) { f.skip--; continue; }
    if (f.times > 0) f.times--;
    f.hits++;
    return f;
  }
}

// The shape each provider uses to say "slow down".
export function throttled(s, f) {
  const after = f.retry_after ?? 1;
  const now = Math.floor(Date.now() / 1000);
  const json = (o, status, headers) => Response.json(o, { status, headers });
  switch (s.name) {
    case "github":
      return f.throttle === "secondary"
        ? json({ message: "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.", documentation_url: "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits" }, 403, { "retry-after": String(after) })
        : json({ message: "API rate limit exceeded for user ID 1.", documentation_url: "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api" }, 403, { "x-ratelimit-limit": "5000", "x-ratelimit-remaining": "0", "x-ratelimit-used": "5000", "x-ratelimit-reset": String(now + after), "x-ratelimit-resource": "core" });
    case "slack":
      return json({ ok: false, error: "ratelimited" }, 429, { "retry-after": String(after) });
    case "linear":
      return json({ errors: [{ message: "Rate limit exceeded", extensions: { code: "RATELIMITED", type: "ratelimited", statusCode: 429, userError: true } }] }, 400, { "x-ratelimit-requests-remaining": "0", "x-ratelimit-requests-reset": String((now + after) * 1000) });
    case "google":
      return json({ error: { code: 403, message: "Rate Limit Exceeded", errors: [{ domain: "usageLimits", reason: "rateLimitExceeded", message: "Rate Limit Exceeded" }], status: "PERMISSION_DENIED" } }, 403, {});
    default:
      return json({ error: { code: "TooManyRequests", message: "Too many requests" } }, 429, { "retry-after": String(after) });
  }
}

export function rateLimit(s, headers) {
  const cfg = s.limit;
  if (!cfg) return null;
  const key = sha(headers.get("authorization") ?? "anonymous");
  const now = Math.floor(Date.now() / 1000);
  let c = s.limits.get(key);
  if (!c || c.reset <= now) s.limits.set(key, (c = { limit: cfg.limit, remaining: cfg.limit, reset: now + cfg.window_s }));
  if (c.remaining <= 0) {
    const r = throttled(s, { throttle: "primary", retry_after: Math.max(1, c.reset - now) });
    if (s.name === "github") setLimitHeaders(r.headers, c);
    return { response: r };
  }
  c.remaining--;
  return { counter: c };
}
export function setLimitHeaders(h, c) {
  h.set("x-ratelimit-limit", String(c.limit));
  h.set("x-ratelimit-remaining", String(c.remaining));
  h.set("x-ratelimit-used", String(c.limit - c.remaining));
  h.set("x-ratelimit-reset", String(c.reset));
  h.set("x-ratelimit-resource", "core");
}


export function sha(x) {
  return createHash("sha256").update(x).digest("hex");
}
