// Where the emulators listen: loopback, on ports that a webhook can be sent to.
import { once } from "node:events";

export const HOST = "127.0.0.1";
// fetch() refuses to talk to these (WHATWG "bad ports"), and webhooks are sent with fetch().
const BAD_PORTS = new Set([1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080]);

export async function listenFree(make, port) {
  for (let i = 0; i < 20; i++) {
    const server = make(port);
    await Promise.race([once(server, "listening"), once(server, "error").then(([e]) => { throw e; })]);
    if (!BAD_PORTS.has(server.address().port) || port) return server;
    server.close();
  }
  throw new Error("no usable port");
}
