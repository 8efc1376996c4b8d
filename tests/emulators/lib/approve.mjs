// The click on "Allow", without a browser.
import { realFetch } from "./deliveries.mjs";
import { HOST } from "./listen.mjs";

export async function approve(services, { authorize_url, user, deny }) {
  const u = new URL(authorize_url);
  if (!Object.values(services).some((s) => new URL(s.url).port === u.port && (u.hostname === HOST || u.hostname === "localhost"))) throw Object.assign(new Error("not an emulator URL"), { status: 400 });
  u.hostname = HOST;
  if (deny) {
    const back = new URL(u.searchParams.get("redirect_uri"));
    back.searchParams.set("error", "access_denied");
    back.searchParams.set("error_description", "The user has denied your application access.");
    if (u.searchParams.get("state")) back.searchParams.set("state", u.searchParams.get("state"));
    return { status: 302, location: back.href };
  }
  const page = await realFetch(u, { headers: { "user-agent": "approve" }, redirect: "manual" });
  const html = await page.text();
  if (page.status !== 200) return { status: page.status, error: html.replace(/<style[\s\S]*?<\/style>|<[^>]+>/g, " ").replace(/\s+/g, " ").trim().slice(0, 300) };
  const unesc = (t) => t.replace(/&quot;/g, '"').replace(/&#39;/g, "'").replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");
  const forms = [...html.matchAll(/<form[^>]*action="([^"]*)"[^>]*>([\s\S]*?)<\/form>/g)].map(([text, action, inner]) => ({
    action: unesc(action), text, fields: Object.fromEntries([...inner.matchAll(/<input[^>]*name="([^"]*)"[^>]*value="([^"]*)"/g)].map(([, k, v]) => [unesc(k), unesc(v)])),
  }));
  const form = user ? forms.find((f) => Object.values(f.fields).includes(user)) ?? forms.find((f) => f.text.includes(user)) : forms[0];
  if (!form) return { status: 404, error: `no such user on the consent page: ${user}` };
  const r = await realFetch(new URL(form.action, u), { method: "POST", body: new URLSearchParams(form.fields), headers: { "user-agent": "approve" }, redirect: "manual" });
  return { status: r.status, location: r.headers.get("location") };
}
