// A left4med-web that is none: node test/mock.mjs [SERVERS] [ROLE] serves web/dist and a
// made-up picture on 127.0.0.1:8099, to look at the page without a host.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const web = join(dirname(fileURLToPath(import.meta.url)), "..");
const count = Number(process.argv[2] ?? 8);
const role = process.argv[3] ?? "admin";
const TYPES = { ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html" };
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const streams = new Set();
const servers = new Map();
let event = 100;
let job = 1;
let signedIn = role !== "none" && role !== "setup";
let link = { up: true, since: new Date().toISOString() };

const ago = (seconds) => new Date(Date.now() - seconds * 1000).toISOString();

function make(i) {
  const kind = i % 8;
  const up = kind !== 2 && kind !== 5;
  return {
    id: i + 1,
    name: i === 0 ? "versus-1" : `game-${i}`,
    unit: `left4me-server@game-${i}.service`,
    desired: kind === 5 || kind === 3 ? "stopped" : "running",
    state: kind === 2 ? "failed" : kind === 5 ? "stopped" : "running",
    drift: { 2: "down", 3: "not-enabled", 4: "flapping", 6: "masked" }[kind] ?? "none",
    drift_since: [2, 3, 4, 6].includes(kind) ? ago(42) : undefined,
    stale: kind === 7,
    phase: "ready",
    restart_due: kind === 1,
    state_since: ago(300 * (i + 1)),
    config: {
      port: 27015 + i,
      map: "c1m1_hotel",
      gamemode: i % 2 ? "coop" : "versus",
      max_players: 8,
      hostname: i === 1 ? "<img src=x onerror=alert(1)> \u202eevil" : `Our server ${i}`,
      args: [],
      overlays: [],
      cvars: {},
      heal: "off",
    },
    game: up
      ? { reachable: true, queried_at: ago(3), players: i % 5, max_players: 8, bots: 0, map: "c2m1_highway" }
      : undefined,
    memory_bytes: up ? 400e6 + i * 1e6 : undefined,
    job: null,
  };
}
for (let i = 0; i < count; i++) servers.set(`${i}`, make(i));
const named = (name) => [...servers.values()].find((s) => s.name === name);

function send(name, data, id) {
  for (const res of streams) res.write(`${id ? `id: ${id}\n` : ""}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
}
function changed(server, o) {
  Object.assign(server, o);
  send("server", server, ++event);
}

function act(server, kind) {
  const j = {
    id: job++,
    server: server.name,
    server_id: server.id,
    superseded_by: null,
    kind,
    state: "running",
    requested_by: { uid: 1, via: "http", on_behalf_of: "kim" },
    created_at: ago(0),
    progress: { done: 1, total: 3, text: "waiting for systemd" },
  };
  send("job", j, ++event);
  changed(server, { job: { ...j }, state: kind === "stop" ? "stopping" : "starting", drift: "none" });
  setTimeout(() => {
    j.state = "succeeded";
    j.finished_at = ago(0);
    const stopped = kind === "stop";
    changed(server, {
      job: null,
      state: stopped ? "stopped" : "running",
      desired: stopped ? "stopped" : "running",
      drift: "none",
      state_since: ago(0),
      phase: "ready",
    });
    send("job", { ...j }, ++event);
  }, 1500);
  return j;
}

const samples = () =>
  Object.fromEntries(
    [...servers.values()]
      .filter((s) => s.game)
      .map((s) => [
        s.id,
        Array.from({ length: 40 }, (_, i) => [
          Date.now() / 1000 - 400 + i * 10,
          4e8 + Math.sin(i / 4 + s.id) * 5e7,
          20 + 15 * Math.sin(i / 2 + s.id),
        ]),
      ]),
  );

const session = () => ({ user: { id: 1, name: "kim", role }, csrf: "token", expires_at: ago(-3600), version: "0.0.0" });

function api(method, path, body, res) {
  const json = (status, data) => {
    res.writeHead(status, { "Content-Type": status < 400 ? "application/json" : "application/problem+json" });
    res.end(JSON.stringify(data));
  };
  const problem = (status, code, detail, o = {}) => json(status, { status, title: code, code, detail, ...o });
  if (path === "/api/session" && method === "POST") {
    if (body.password !== "right") return problem(401, "wrong-credentials", "The user or the password is wrong.");
    signedIn = true;
    return json(200, session());
  }
  if (path === "/api/test/expire") return ((signedIn = false), json(200, {}));
  if (path === "/api/test/link") {
    link = { up: !link.up, since: ago(0), detail: link.up ? "the daemon ended the stream of events" : undefined };
    send("link", link);
    return json(200, {});
  }
  if (path === "/api/test/cut") {
    for (const s of streams) s.destroy();
    return json(200, {});
  }
  if (path === "/api/test/event") {
    const all = [...servers.values()];
    changed(all[body.n % all.length], { state_since: ago(0) });
    return json(200, {});
  }
  if (!signedIn) return problem(401, "not-signed-in", "Sign in first.", { setup: role === "setup" });
  if (path === "/api/session") return json(200, session());
  if (path === "/api/state")
    return json(200, { event_id: `${event}`, at: ago(0), link, servers: [...servers.values()], samples: samples() });
  if (path === "/api/events") {
    res.writeHead(200, { "Content-Type": "text/event-stream" });
    res.write(`event: link\ndata: ${JSON.stringify(link)}\n\n`);
    streams.add(res);
    return res.on("close", () => streams.delete(res));
  }
  if (path === "/api/openapi.json")
    return json(200, JSON.parse(readFileSync(join(web, "../internal/api/testdata/openapi.json"), "utf8")));
  if (path === "/api/v1/jobs") return json(200, { jobs: [] });
  if (path === "/api/v1/updates") return json(200, {});
  if (path === "/api/v1/actions") {
    const refused = body.servers.slice(2, 3).map((server) => ({
      server,
      code: "busy",
      detail: `cannot ${body.action} ${server}: job 7 is in the way; wait for it`,
    }));
    const taken = body.servers.filter((n) => !refused.some((r) => r.server === n));
    return json(202, { jobs: taken.map((n) => act(named(n), body.action)), refused });
  }
  if (path === "/api/v1/servers" && method === "POST") {
    if (named(body.name))
      return problem(409, "name-taken", `There is a server ${body.name} already. Choose another name.`);
    if (body.config.port === 1)
      return problem(422, "invalid-request", "The settings are not valid.", {
        errors: [{ field: "config.port", detail: "1 is not in the range 27015 to 27115" }],
      });
    const server = {
      ...make(servers.size),
      name: body.name,
      state: "stopped",
      phase: "creating",
      drift: "none",
      game: undefined,
    };
    servers.set(body.name, server);
    return json(202, act(server, "initialize"));
  }
  const verb = /^\/api\/v1\/servers\/([^/]+)\/(start|stop|restart)$/.exec(path);
  if (verb && named(verb[1])) return json(202, act(named(verb[1]), verb[2]));
  return problem(404, "not-found", `There is nothing at ${path}.`);
}

createServer(async (req, res) => {
  const path = new URL(req.url, "http://x").pathname;
  res.setHeader("Content-Security-Policy", POLICY);
  if (path.startsWith("/api/")) {
    let text = "";
    for await (const piece of req) text += piece;
    return api(req.method, path, text ? JSON.parse(text) : undefined, res);
  }
  const file = extname(path) ? normalize(path) : "/index.html";
  try {
    const body = readFileSync(join(web, "dist", file));
    res.writeHead(200, { "Content-Type": TYPES[extname(file)] ?? "application/octet-stream" });
    res.end(body);
  } catch {
    res.writeHead(404);
    res.end();
  }
}).listen(Number(process.env.PORT ?? 8099), "127.0.0.1");
setInterval(() => streams.forEach((s) => s.write(": alive\n\n")), 10_000).unref();
