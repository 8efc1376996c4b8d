// What a GitHub webhook carries beside its body. Stock emulate numbers deliveries 1, 2, 3
// ... again after a restart.
import { createHmac, randomUUID } from "node:crypto";

export function githubHeaders({ event, body, subscription }) {
  const h = {
    "Content-Type": "application/json", "User-Agent": "GitHub-Hookshot/emulator", Accept: "*/*",
    "X-GitHub-Event": event, "X-GitHub-Delivery": randomUUID(), "X-GitHub-Hook-ID": String(subscription.id),
    "X-GitHub-Hook-Installation-Target-Type": subscription.repo ? "repository" : "organization",
  };
  if (subscription.secret) {
    h["X-Hub-Signature"] = "sha1=" + createHmac("sha1", subscription.secret).update(body).digest("hex");
    h["X-Hub-Signature-256"] = "sha256=" + createHmac("sha256", subscription.secret).update(body).digest("hex");
  }
  return h;
}
