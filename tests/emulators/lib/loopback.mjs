// Preload (node --import) that puts every TCP listener without an explicit host on
// 127.0.0.1, whatever the package does: emulate's own server listens on every interface.
import net from "node:net";

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (...args) {
  const [a, b] = args;
  if (typeof a === "number" || (typeof a === "string" && /^\d+$/.test(a))) {
    if (b === undefined || typeof b === "function") args = [a, "127.0.0.1", ...args.slice(b === undefined ? 2 : 1)];
  } else if (a && typeof a === "object" && a.port !== undefined && !a.host) {
    args = [{ ...a, host: "127.0.0.1" }, ...args.slice(1)];
  }
  return listen.apply(this, args);
};
