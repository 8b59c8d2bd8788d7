// Which servers the list shows, in which order, and which are selected.
import type { Sample, Server, ServerState } from "../../lib/types";
import { STATES } from "../../lib/words";

export type SortKey = "name" | "state" | "desired" | "map" | "players" | "memory" | "cpu" | "since";

export interface Order {
  key: SortKey;
  down: boolean;
}

/** "" is all, "trouble" what is in drift or stale. */
export type StateFilter = "" | "trouble" | ServerState;

/** Whether a person should look at it. */
export function troubled(s: Server): boolean {
  return s.drift !== "none" || s.stale || s.state === "failed";
}

/** The servers that hold all words of the text and are in the state. */
export function filter(servers: Iterable<Server>, text: string, state: StateFilter): Server[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return [...servers].filter((s) => {
    if (state === "trouble" ? !troubled(s) : state && s.state !== state) return false;
    const hay = [s.name, s.config?.hostname, s.game?.map ?? s.config?.map, s.config?.gamemode, s.config?.port, s.drift]
      .join("\n")
      .toLowerCase();
    return words.every((word) => hay.includes(word));
  });
}

const NAMES = new Intl.Collator("en", { numeric: true });

/** What a column sorts by; undefined is unknown, which stands last either way. */
function value(s: Server, key: SortKey, last: (id: number) => Sample | undefined): number | string | undefined {
  switch (key) {
    case "name":
      return s.name;
    case "state":
      return (troubled(s) ? 0 : 10) + STATES.indexOf(s.state);
    case "desired":
      return s.desired;
    case "map":
      return mapOf(s);
    case "players":
      return s.game?.reachable ? s.game.players : undefined;
    case "memory":
      return last(s.id)?.[1] ?? s.memory_bytes;
    case "cpu":
      return last(s.id)?.[2] ?? s.cpu_percent;
    case "since":
      return s.state_since ? Date.parse(s.state_since) : undefined;
  }
}

/** The map that is played, or the one it would start with. */
export function mapOf(s: Server): string | undefined {
  return (s.state === "running" ? s.game?.map : undefined) ?? s.config?.map;
}

/** The servers in the order of a column, by name where that is the same. */
export function sort(servers: Server[], order: Order, last: (id: number) => Sample | undefined): Server[] {
  const rows = servers.map((server) => ({ server, by: value(server, order.key, last) }));
  const sign = order.down ? -1 : 1;
  rows.sort((a, b) => {
    if (a.by !== b.by) {
      if (a.by === undefined) return 1;
      if (b.by === undefined) return -1;
      const way = typeof a.by === "number" ? a.by - (b.by as number) : NAMES.compare(a.by, b.by as string);
      if (way) return sign * way;
    }
    return NAMES.compare(a.server.name, b.server.name);
  });
  return rows.map((row) => row.server);
}

/** The order after a press on a column: numbers begin with the largest. */
export function press(order: Order, key: SortKey): Order {
  if (order.key === key) return { key, down: !order.down };
  return { key, down: key === "players" || key === "memory" || key === "cpu" || key === "since" };
}

/** The names from one row to another, both included; only the second where the first is not shown. */
export function range(shown: string[], from: string | undefined, to: string): string[] {
  const a = from === undefined ? -1 : shown.indexOf(from);
  const b = shown.indexOf(to);
  if (a < 0 || b < 0) return [to];
  return shown.slice(Math.min(a, b), Math.max(a, b) + 1);
}
