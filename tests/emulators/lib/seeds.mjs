// Reads ../seeds/NAME.yaml, or calls seed() of ../seeds/NAME.mjs.
import fs from "node:fs";

export async function readSeeds(names, callbacks, parseYaml) {
  const seed = { tokens: {} };
  for (const name of names) {
    const at = (ext) => new URL(`../seeds/${name}.${ext}`, import.meta.url);
    let doc = {};
    if (fs.existsSync(at("yaml"))) doc = parseYaml(fs.readFileSync(at("yaml"), "utf8"));
    else if (fs.existsSync(at("mjs"))) doc = (await import(at("mjs").href)).seed();
    Object.assign(seed.tokens, doc.tokens);
    seed[name] = doc[name] ?? {};
    for (const key of ["oauth_apps", "oauth_clients"])
      for (const app of seed[name][key] ?? []) app.redirect_uris = app.redirect_uris.flatMap((u) => (u === "$CALLBACK" ? callbacks : [u]));
  }
  return seed;
}

// Seeds can only say "now"; `timestamps` in a seed puts records into the past:
//   timestamps: { "linear.issues": { by: identifier, set: { ENG-2: [created, updated] } } }
export function applyTimestamps(store, spec) {
  for (const [name, { by, set }] of Object.entries(spec ?? {})) {
    const col = store.collection(name);
    const snap = col.snapshot();
    snap.items = snap.items.map((it) => {
      const t = set[it[by]];
      return t ? { ...it, created_at: t[0], updated_at: t[1] ?? t[0] } : it;
    });
    col.restore(snap);
  }
}
