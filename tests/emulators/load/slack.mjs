// Posts messages, threads, reactions, edits and one deletion through the Web API.
import { prng, title, remark } from "./data.mjs";

const people = ["alice", "bob", "carol", "dinesh", "erin"];
const emoji = ["eyes", "white_check_mark", "tada", "+1", "heart", "rocket"];

export async function load({ base, fetch, messages = 420 }) {
  const r = prng(77);
  let now = Date.now() - 60 * 86400e3;
  let count = 0;
  const call = async (as, method, args) => {
    now += 1000 * (2 + r.int(600));
    const res = await fetch(`${base}/api/${method}`, {
      method: "POST", body: JSON.stringify(args ?? {}),
      headers: { authorization: `Bearer xoxb-emulator-${as}`, "content-type": "application/json; charset=utf-8", "x-emu-clock": new Date(now).toISOString() },
    });
    const out = await res.json();
    if (!out.ok) throw new Error(`${method}: ${JSON.stringify(out)}`);
    count++;
    return out;
  };
  const list = (await call("alice", "conversations.list", { types: "public_channel,private_channel", limit: 200 })).channels;
  const users = Object.fromEntries((await call("alice", "users.list", { limit: 200 })).members.map((u) => [u.name, u.id]));
  for (const ch of list) if (!ch.is_member) for (const p of people) await call(p, "conversations.join", { channel: ch.id });
  const weights = { engineering: 0.5, support: 0.2, incidents: 0.1 };
  for (const ch of list) {
    const n = Math.round(messages * (weights[ch.name] ?? 0.2 / (list.length - 3)));
    const start = now;
    for (let i = 0; i < n; i++) {
      const by = r.pick(people);
      const text = r.pick([title(r), remark(r), `<@${users[r.pick(people)]}> can you look at ${title(r)}?`, `deploy of *web-app* done <https://ci.acme.example/b/${1000 + i}|build ${1000 + i}> & green`, "```\nerror: deadline exceeded\n```", ":wave: morning all"]);
      const m = await call(by, "chat.postMessage", { channel: ch.id, text, ...(r.chance(0.1) ? { blocks: [{ type: "section", text: { type: "mrkdwn", text } }] } : {}) });
      const replies = ch.name === "engineering" && i === 2 ? 60 : r.chance(0.15) ? 1 + r.int(6) : 0;
      for (let c = 0; c < replies; c++) await call(r.pick(people), "chat.postMessage", { channel: ch.id, text: remark(r), thread_ts: m.ts });
      for (const name of r.chance(0.2) ? r.some(emoji, 3) : []) for (const p of r.some(people, 3)) await call(p, "reactions.add", { channel: ch.id, timestamp: m.ts, name });
      if (r.chance(0.03)) await call(by, "chat.update", { channel: ch.id, ts: m.ts, text: text + " (edited)" });
      if (i === 4) await call(by, "chat.delete", { channel: ch.id, ts: m.ts });
    }
    now = start + 86400e3; // channels overlap in time
  }
  await call("bob", "chat.postMessage", { channel: users.alice, text: "just between us" });
  const old = await call("alice", "conversations.create", { name: "old-project" });
  await call("alice", "chat.postMessage", { channel: old.channel.id, text: "closing this one" });
  await call("alice", "conversations.archive", { channel: old.channel.id });
  return count;
}
