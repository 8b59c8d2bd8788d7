// Start, stop and restart, of one server or of many.
import { api, serverPath } from "./api";
import { confirm } from "./confirm.svelte";
import { count } from "./format";
import { jobs } from "./jobs.svelte";
import { toasts } from "./toasts.svelte";
import type { ActAnswer, Job, Server } from "./types";

export type Verb = "start" | "stop" | "restart";

export interface ActOptions {
  /** Of a restart: wait until nobody plays. */
  whenEmpty?: boolean;
}

const NAMES: Record<Verb, string> = { start: "Start", stop: "Stop", restart: "Restart" };
/** How many people play on these servers, bots left out. */
export function playing(servers: Pick<Server, "state" | "game">[]): number {
  return servers.reduce((n, s) => {
    if (s.state !== "running" || !s.game?.reachable) return n;
    return n + (s.game.players ?? 0);
  }, 0);
}

/** Asks first where people would be thrown out; resolves to how it is to be done, if at all. */
async function sure(servers: Server[], verb: Verb, o: ActOptions): Promise<ActOptions | undefined> {
  const players = playing(servers);
  if (verb === "start" || o.whenEmpty || players === 0) return o;
  const what = `${NAMES[verb]} ${servers.length === 1 ? servers[0]!.name : count(servers.length, "server")}`;
  const answer = await confirm.choose({
    title: `${what}?`,
    text: `${count(players, "player is", "players are")} on ${servers.length === 1 ? "it" : "them"}, and will be thrown out.`,
    action: `${what} now`,
    danger: true,
    other: verb === "restart" ? "When nobody plays" : undefined,
  });
  if (answer === "no") return undefined;
  return { ...o, whenEmpty: answer === "other" };
}

/**
 * Starts, stops or restarts a server; resolves when the request was taken, true if it
 * was. The job goes on in the tray; errors are told.
 */
export async function act(server: Server, verb: Verb, o: ActOptions = {}): Promise<boolean> {
  const how = await sure([server], verb, o);
  if (!how) return false;
  const title = `${NAMES[verb]} ${server.name}`;
  try {
    const job = await api.post<Job>(serverPath(server.name, verb), undefined, {
      when: verb === "restart" && how.whenEmpty ? "empty" : undefined,
    });
    void jobs.follow(job, title);
    return true;
  } catch (thrown) {
    toasts.failed(title, thrown);
    return false;
  }
}

/** Like act, for many servers at once. What is refused is listed. */
export async function actAll(servers: Server[], verb: Verb, o: ActOptions = {}): Promise<boolean> {
  if (servers.length === 1) return act(servers[0]!, verb, o);
  if (!servers.length) return false;
  const how = await sure(servers, verb, o);
  if (!how) return false;
  const title = `${NAMES[verb]} ${count(servers.length, "server")}`;
  try {
    const body: Record<string, unknown> = { action: verb, servers: servers.map((s) => s.name) };
    if (verb === "restart" && how.whenEmpty) body.when = "empty";
    const answer = await api.post<ActAnswer>("/api/v1/actions", body);
    if (answer.refused.length) {
      toasts.error(
        `${title}: ${count(answer.refused.length, "server was", "servers were")} refused.`,
        answer.refused.map((r) => `${r.server}: ${r.detail}`),
      );
    }
    if (answer.jobs.length) void jobs.followAll(answer.jobs, title);
    return answer.jobs.length > 0;
  } catch (thrown) {
    toasts.failed(title, thrown);
    return false;
  }
}
