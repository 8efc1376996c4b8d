// Two teams with their states, people, labels, projects, issues and comments.
// The same ids and texts at every start.
import { prng, title, body, remark } from "../load/data.mjs";

// Fixed, so that the seed is the same on every day.
const BASE = Date.parse("2026-11-01T08:00:00Z");
const DAY = 86400e3;
const iso = (ms) => new Date(ms).toISOString();

export function seed() {
  const r = prng(4242);
  const users = [["alice", "Alice Nguyen", true], ["bob", "Bob Ray"], ["carol", "Carol Øst"], ["dinesh", "दिनेश कुमार"]].map(([n, name, admin]) => ({ id: r.uuid(), email: `${n}@acme.example`, name, display_name: n, admin: !!admin }));
  users.push({ id: r.uuid(), email: "gone@acme.example", name: "Gone Person", display_name: "gone", active: false });
  const states = (extra = []) => [["Triage", "triage"], ["Backlog", "backlog"], ["Todo", "unstarted"], ["In Progress", "started"], ["In Review", "started"], ["Done", "completed"], ["Canceled", "canceled"], ...extra].map(([name, type], i) => ({ id: r.uuid(), name, type, position: i }));
  const teams = [
    { id: r.uuid(), key: "PLT", name: "Platform", description: "Infra and APIs", states: states() },
    { id: r.uuid(), key: "MOB", name: "Mobile", description: "Apps", states: states([["Won't fix", "canceled"]]) },
  ];
  const labels = teams.flatMap((t) => [["Bug", "#d92d20"], ["Feature", "#2563eb"], ["Chore", "#64748b"]].map(([name, color]) => ({ id: r.uuid(), name, color, team: t.key })));
  const projects = teams.map((t) => ({ id: r.uuid(), name: `${t.name} Q4`, description: "Quarter goals", state: "started", team: t.key }));
  const issues = [], comments = [], ti = {}, tc = {};
  const seq = { PLT: 0, MOB: 0 };
  const seen = new Set();
  for (let i = 0; i < 120; i++) {
    const team = i % 3 === 2 ? teams[1] : teams[0];
    let t = title(r);
    while (seen.has(team.key + t)) t += ` (${i})`; // emulate drops a second seed issue with the same title
    seen.add(team.key + t);
    const ident = `${team.key}-${++seq[team.key]}`;
    const created = BASE - (120 - i) * 2 * DAY + r.int(DAY);
    let updated = created + r.int(20 * DAY);
    const n = i === 7 ? 60 : r.chance(0.5) ? 1 + r.int(4) : 0;
    for (let c = 0; c < n; c++) {
      const id = r.uuid(), at = created + (c + 1) * 3600e3;
      comments.push({ id, issue: ident, body: remark(r), user: r.pick(users.slice(0, 4)).email });
      tc[id] = [iso(at), iso(at)];
      updated = Math.max(updated, at);
    }
    issues.push({
      id: r.uuid(), team: team.key, title: t, description: body(r) ?? undefined, priority: r.int(5), state: r.pick(team.states).name, creator: r.pick(users).email,
      ...(r.chance(0.7) ? { assignee: r.pick(users.slice(0, 4)).email } : {}), ...(r.chance(0.3) ? { project: projects[teams.indexOf(team)].name } : {}),
      labels: r.some(["Bug", "Feature", "Chore"], 2), ...(r.chance(0.2) ? { due_date: iso(created + 30 * DAY).slice(0, 10) } : {}),
    });
    ti[ident] = [iso(created), iso(updated)];
  }
  const all = ["read", "write", "issues:create", "comments:create", "admin"];
  return { linear: {
    organization: { name: "Acme", url_key: "acme" }, users, teams, labels, projects,
    cycles: [{ id: r.uuid(), team: "PLT", name: "Cycle 41", number: 41, starts_at: iso(BASE - 14 * DAY), ends_at: iso(BASE) }],
    issues, comments,
    oauth_apps: [
      { client_id: "lin_emulator_host", client_secret: "linear-emulator-client-secret", name: "Connector Host", redirect_uris: ["$CALLBACK"], scopes: all, actor: "user" },
      { client_id: "lin_emulator_agent", client_secret: "linear-emulator-agent-secret", name: "Connector Agent", redirect_uris: ["$CALLBACK"], scopes: all, actor: "app", assignable: true, mentionable: true },
    ],
    tokens: [["alice", all], ["bob", ["read", "write"]], ["carol", ["read"]]].map(([n, scopes]) => ({ token: `lin_api_emulator_${n}`, user: `${n}@acme.example`, scopes })),
    strict_scopes: true,
    timestamps: { "linear.issues": { by: "identifier", set: ti }, "linear.comments": { by: "linear_id", set: tc } },
  } };
}
