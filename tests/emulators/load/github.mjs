// Creates issues, pull requests, comments, labels and milestones through the
// REST API (emulate has no seed fields for them). Times are spread over ten
// months before the start by the x-emu-clock request header of lib/service.mjs.
import { prng, title, body, remark } from "./data.mjs";

const people = ["alice", "bob", "carol"];
const token = (login) => "ghp_emulator" + login[0].toUpperCase() + login.slice(1);
const labels = [["bug", "d73a4a"], ["enhancement", "a2eeef"], ["documentation", "0075ca"], ["good first issue", "7057ff"], ["wontfix", "ffffff"], ["priority: high", "b60205"], ["area/api", "5319e7"], ["Ünïcode ✓", "0e8a16"]];

export async function load({ base, fetch, sizes = { "acme/web-app": 190, "acme/api": 90, "alice/dotfiles": 6 } }) {
  const r = prng(20260301);
  const day = 86400e3, end = Date.now() - 60e3, start = end - 300 * day;
  let now = start;
  let count = 0;
  const call = async (as, method, path, json) => {
    now = Math.min(end, now + 1000 * (1 + r.int(30)));
    const res = await fetch(base + path, {
      method, body: json && JSON.stringify(json),
      headers: { authorization: `Bearer ${token(as)}`, "user-agent": "loader", "content-type": "application/json", "x-emu-clock": new Date(now).toISOString() },
    });
    if (!res.ok) throw new Error(`${method} ${path}: ${res.status} ${(await res.text()).slice(0, 200)}`);
    count++;
    return res.status === 204 ? null : res.json();
  };

  for (const [full, n] of Object.entries(sizes)) {
    const repo = `/repos/${full}`;
    const who = full.startsWith("acme/") ? people : ["alice"];
    for (const [name, color] of labels) await call("alice", "POST", `${repo}/labels`, { name, color, description: `${name} things` });
    for (const m of ["v1.0", "v1.1"]) await call("alice", "POST", `${repo}/milestones`, { title: m, description: `Release ${m}` });
    for (let i = 0; i < n; i++) {
      now = start + ((i + r.next() * 0.8) / n) * 299 * day;
      const issue = await call(r.pick(who), "POST", `${repo}/issues`, {
        title: title(r), body: i === 3 ? "x".repeat(60000) + "\nend" : body(r), labels: r.some(labels.map((l) => l[0]), 3),
        assignees: r.some(who, 2), ...(r.chance(0.3) ? { milestone: 1 + r.int(2) } : {}),
      });
      const comments = i === 5 ? 120 : r.chance(0.55) ? 1 + r.int(5) : 0; // issue 6 has more than one page of comments
      for (let c = 0; c < comments; c++) await call(r.pick(who), "POST", `${repo}/issues/${issue.number}/comments`, { body: remark(r) });
      if (r.chance(0.4)) await call(r.pick(who), "PATCH", `${repo}/issues/${issue.number}`, { state: "closed", state_reason: r.chance(0.8) ? "completed" : "not_planned" });
      else if (r.chance(0.1)) await call("alice", "PUT", `${repo}/issues/${issue.number}/lock`, { lock_reason: "resolved" });
    }
    if (full === "alice/dotfiles") continue;
    const head = (await call("alice", "GET", `${repo}/git/ref/heads/main`)).object.sha;
    for (let i = 0; i < 12; i++) {
      now = start + (i + 1) * 24 * day;
      await call("alice", "POST", `${repo}/git/refs`, { ref: `refs/heads/topic/${i}`, sha: head });
      const pr = await call(r.pick(who), "POST", `${repo}/pulls`, { title: `Fix: ${title(r)}`, body: body(r), head: `topic/${i}`, base: "main", draft: i % 5 === 0 });
      for (let c = r.int(3); c > 0; c--) await call(r.pick(who), "POST", `${repo}/issues/${pr.number}/comments`, { body: remark(r) });
      if (i % 3 === 0) await call("bob", "POST", `${repo}/pulls/${pr.number}/reviews`, { event: r.pick(["COMMENT", "APPROVE"]), body: remark(r) });
      if (i % 4 === 3) await call("alice", "PATCH", `${repo}/pulls/${pr.number}`, { state: "closed" });
    }
  }
  return count;
}
