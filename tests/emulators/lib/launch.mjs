// Runs the service emulators of the npm package `emulate` in one process, on
// loopback only, with a control endpoint for tests. See ../README.md.
import "./clock.mjs";
import fs from "node:fs";
import { parseArgs } from "node:util";
import { RealDate } from "./clock.mjs";
import { startControl } from "./control.mjs";
import { realFetch, sent } from "./deliveries.mjs";
import { loadEmulate } from "./emulate.mjs";
import { environment } from "./environment.mjs";
import { readSeeds } from "./seeds.mjs";
import { checkpoint, requestLog, startService } from "./service.mjs";

// Of an option that is given twice the last one counts, so a test can append its own.
const { values: options } = parseArgs({
  options: {
    package: { type: "string" }, // directory of the installed `emulate` package
    services: { type: "string", default: "github,slack,linear,google,microsoft" },
    ports: { type: "string", default: "" }, // github=4101,slack=4102 (absent: a free one)
    callback: { type: "string", multiple: true, default: [] }, // redirect URIs that every OAuth app accepts
    "no-load": { type: "boolean", default: false }, // the seeds only, without issues and messages
    "write-env": { type: "string" }, // a file for the printed lines, written when everything is ready
    "until-stdin-ends": { type: "boolean", default: false }, // end with whoever holds our standard input
  },
});

if (options["until-stdin-ends"]) {
  process.stdin.resume();
  for (const event of ["end", "close", "error"]) process.stdin.once(event, () => process.exit(0));
}

const emulate = await loadEmulate(options.package);
const names = options.services.split(",").map((s) => s.trim()).filter(Boolean);
for (const name of names) {
  if (!emulate.registry[name]) {
    console.error(`unknown service: ${name} (known: ${Object.keys(emulate.registry).join(", ")})`);
    process.exit(2);
  }
}
const callbacks = options.callback.length ? options.callback : ["http://127.0.0.1:8080/oauth/callback"];
const ports = Object.fromEntries(options.ports.split(",").filter(Boolean).map((p) => p.split("=")));
const seed = await readSeeds(names, callbacks, emulate.parseYaml);

const services = {};
for (const name of names) services[name] = await startService(emulate, seed, name, Number(ports[name] ?? 0));

const control = await startControl({ services, environment: () => environment(control.url, services, seed), stop });

function stop() {
  for (const s of Object.values(services)) {
    s.server.close();
    s.server.closeAllConnections?.();
  }
  control.server.close();
  process.exit(0);
}
process.once("SIGINT", stop);
process.once("SIGTERM", stop);

if (!options["no-load"]) {
  for (const name of names) {
    const loader = new URL(`../load/${name}.mjs`, import.meta.url);
    if (!fs.existsSync(loader)) continue;
    const { load } = await import(loader.href);
    const started = RealDate.now();
    const count = await load({ base: services[name].url, fetch: realFetch });
    console.error(`loaded ${name}: ${count} requests (${RealDate.now() - started} ms)`);
  }
  requestLog.length = 0;
  sent.length = 0;
}
Object.values(services).forEach(checkpoint);

const text = environment(control.url, services, seed);
if (options["write-env"]) {
  fs.writeFileSync(options["write-env"] + ".tmp", text, { mode: 0o600 });
  fs.renameSync(options["write-env"] + ".tmp", options["write-env"]);
}
process.stdout.write(text + "READY=1\n");
