// The installed package, with the parts that a test needs. Its public createEmulator()
// hides them (bind address, token map, store, webhook dispatcher); a copy of its entry
// module with one more export line gives them without touching its code.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

export async function loadEmulate(directory) {
  const package_ = path.resolve(directory);
  const entry = path.join(package_, "dist", "api.js");
  const copy = path.join(package_, "dist", "api.inspect.mjs");
  const src = fs.readFileSync(entry, "utf8").replace(/\n\/\/# sourceMappingURL=.*$/s, "\n") + "export { createServer, serve, SERVICE_REGISTRY };\n";
  if (!fs.existsSync(copy) || fs.readFileSync(copy, "utf8") !== src) {
    fs.writeFileSync(copy + "." + process.pid, src);
    fs.renameSync(copy + "." + process.pid, copy);
  }
  const { createServer, serve, SERVICE_REGISTRY } = await import(pathToFileURL(copy).href);
  const { parse: parseYaml } = await import(pathToFileURL(path.join(package_, "..", "yaml", "dist", "index.js")).href);
  return { createServer, serve, registry: SERVICE_REGISTRY, parseYaml };
}
