// Where Linear is stricter than emulate.
import { randomUUID } from "node:crypto";

// emulate's Linear serves anybody as the admin; Linear itself does not.
export function linearAuth(s, headers) {
  const token = (headers.get("authorization") ?? "").replace(/^Bearer\s+/i, "").trim();
  if (token && (s.store.collection("linear.tokens").findOneBy("token", token) || s.tokenMap.has(token))) return null;
  return Response.json({ errors: [{ message: "Authentication required, not authenticated", extensions: { type: "authentication error", code: "AUTHENTICATION_ERROR", statusCode: 401, userError: true, userPresentableMessage: "You need to authenticate to access this operation." } }] }, { status: 401 });
}

// Linear makes up a secret for a webhook created without one; emulate would leave
// it unsigned. Works where the input is a variable, as every client library does it.
export function linearWebhookSecret(body) {
  try {
    const j = JSON.parse(body);
    for (const v of Object.values(j.variables ?? {})) if (v && typeof v === "object" && v.url && !v.secret && (v.teamId || v.resourceTypes || v.allPublicTeams)) v.secret = "lin_wh_" + randomUUID().replace(/-/g, "");
    return Buffer.from(JSON.stringify(j));
  } catch { return body; }
}
