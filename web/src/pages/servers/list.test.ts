import { describe, expect, it } from "vitest";
import { server } from "../../../test/make";
import { configOf, fieldOf } from "./create";
import { Problem } from "../../lib/api";
import type { Config } from "../../lib/types";
import { filter, press, range, sort } from "./list";
import { View } from "./view.svelte";

const config = (o: Partial<Config>): Config => ({
  port: 27015,
  map: "c1m1_hotel",
  gamemode: "coop",
  max_players: 8,
  hostname: "",
  args: [],
  overlays: [],
  cvars: {},
  heal: "off",
  ...o,
});
const game = (players: number) => ({ reachable: true, queried_at: "2026-01-01T00:00:00Z", players });

const servers = [
  server({ id: 1, name: "versus-10", config: config({ gamemode: "versus", hostname: "Night <b>shift" }) }),
  server({ id: 2, name: "versus-2", state: "failed", drift: "down", config: config({ port: 27016 }) }),
  server({ id: 3, name: "coop-1", game: game(4) }),
  server({ id: 4, name: "coop-2", state: "stopped", desired: "stopped" }),
  server({ id: 5, name: "coop-3", game: game(0), stale: true }),
];
const names = (list: { name: string }[]) => list.map((s) => s.name);
const last = () => undefined;

describe("the list", () => {
  it("is filtered by all words, and by state", () => {
    expect(names(filter(servers, "vers", ""))).toEqual(["versus-10", "versus-2"]);
    expect(names(filter(servers, "versus night", ""))).toEqual(["versus-10"]);
    expect(names(filter(servers, "27016", ""))).toEqual(["versus-2"]);
    expect(names(filter(servers, "", "stopped"))).toEqual(["coop-2"]);
    expect(names(filter(servers, "", "trouble"))).toEqual(["versus-2", "coop-3"]);
    expect(names(filter(servers, "nothing", ""))).toEqual([]);
  });

  it("is sorted as people count, the unknown last", () => {
    const by = (key: Parameters<typeof press>[1], down = false) => names(sort(servers, { key, down }, last));
    expect(by("name")).toEqual(["coop-1", "coop-2", "coop-3", "versus-2", "versus-10"]);
    expect(by("name", true)).toEqual(["versus-10", "versus-2", "coop-3", "coop-2", "coop-1"]);
    expect(by("players", true)).toEqual(["coop-1", "coop-3", "coop-2", "versus-2", "versus-10"]);
    expect(by("players")).toEqual(["coop-3", "coop-1", "coop-2", "versus-2", "versus-10"]);
    expect(by("state").slice(0, 2)).toEqual(["coop-3", "versus-2"]);
  });

  it("takes numbers from the newest samples", () => {
    const samples = new Map<number, [number, number | null, number | null]>([
      [3, [0, 30, 1]],
      [4, [0, 10, 9]],
      [5, [0, 20, null]],
    ]);
    const newest = (id: number) => samples.get(id);
    expect(names(sort(servers, { key: "memory", down: true }, newest)).slice(0, 3)).toEqual([
      "coop-1",
      "coop-3",
      "coop-2",
    ]);
  });

  it("turns round when a column is pressed again", () => {
    expect(press({ key: "name", down: false }, "name")).toEqual({ key: "name", down: true });
    expect(press({ key: "name", down: true }, "cpu")).toEqual({ key: "cpu", down: true });
    expect(press({ key: "cpu", down: true }, "map")).toEqual({ key: "map", down: false });
  });

  it("sorts 500 servers in no time", () => {
    const many = Array.from({ length: 500 }, (_, i) => server({ id: i + 1, name: `s-${(i * 7919) % 500}` }));
    const before = performance.now();
    for (let i = 0; i < 10; i++) sort(filter(many, "s", ""), { key: "name", down: false }, last);
    expect((performance.now() - before) / 10).toBeLessThan(50);
  });
});

describe("selection", () => {
  const shown = ["a", "b", "c", "d", "e"];

  it("has ranges either way", () => {
    expect(range(shown, "b", "d")).toEqual(["b", "c", "d"]);
    expect(range(shown, "d", "b")).toEqual(["b", "c", "d"]);
    expect(range(shown, undefined, "c")).toEqual(["c"]);
    expect(range(shown, "gone", "c")).toEqual(["c"]);
  });

  it("marks, goes through with Shift, takes away, and all", () => {
    const view = new View();
    view.mark(shown, "b", true, false);
    view.mark(shown, "d", true, true);
    expect([...view.selected]).toEqual(["b", "c", "d"]);
    view.mark(shown, "c", false, true);
    expect([...view.selected]).toEqual(["b"]);
    view.markAll(shown, true);
    expect(view.selected.size).toBe(5);
    view.clear();
    expect(view.selected.size).toBe(0);
  });
});

describe("a new server", () => {
  const form = { name: "a", hostname: " Mine ", map: "", gamemode: "", max_players: "8", port: "x1" };

  it("leaves out what is empty, and lets the server judge what is no number", () => {
    expect(configOf(form)).toEqual({ hostname: "Mine", max_players: 8, port: "x1" });
  });

  it("finds the field that is wrong", () => {
    expect(fieldOf(new Problem(409, "name-taken", "taken"), "name")).toBe("taken");
    expect(fieldOf(new Problem(409, "port-taken", "in use"), "port")).toBe("in use");
    const problem = new Problem(422, "invalid-request", "no", [{ field: "config.map", detail: "no such" }]);
    expect([fieldOf(problem, "map"), fieldOf(problem, "port")]).toEqual(["no such", undefined]);
  });
});
