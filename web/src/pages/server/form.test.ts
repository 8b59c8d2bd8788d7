import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { change, dirty, fields, merge, parse, refused, values, type Spec, type Value } from "./form";

const spec = JSON.parse(readFileSync("../internal/api/testdata/openapi.json", "utf8")) as Spec;
const all = fields(spec);
const named = (name: string) => all.find((f) => f.name === name)!;

const config = {
  port: 27015,
  map: "c1m1_hotel",
  gamemode: "coop",
  max_players: 8,
  hostname: "<script>alert(1)</script>",
  args: [],
  overlays: ["base"],
  cvars: { b: "2", a: "1" },
  heal: "off",
};

test("the form is the daemon’s own description of a change", () => {
  expect(all.map((f) => [f.name, f.kind, f.optional, f.atOnce])).toEqual([
    ["port", "number", false, false],
    ["hostname", "text", false, false],
    ["map", "text", false, false],
    ["gamemode", "text", false, false],
    ["max_players", "number", false, false],
    ["heal", "choice", false, false],
    ["overlays", "list", false, false],
    ["args", "list", false, false],
    ["cvars", "map", false, false],
    ["memory_max", "number", true, true],
    ["cpu_weight", "number", true, true],
    ["cpus", "text", true, true],
  ]);
  expect(named("port")).toMatchObject({ minimum: 1, maximum: 65535 });
  expect(named("heal").options).toEqual(["off", "failed", "always"]);
  expect(named("memory_max")).toMatchObject({ unit: "MiB", factor: 1 << 20 });
  expect(all.every((f) => f.help !== "")).toBe(true);
});

test("a setting that is new is asked for all the same", () => {
  const newer: Spec = { components: { schemas: { ConfigPatch: { properties: { new_thing: { type: "boolean" } } } } } };
  expect(fields(newer)).toMatchObject([{ name: "new_thing", label: "New thing", kind: "switch", optional: true }]);
});

test("nothing typed, nothing sent; only what was changed is sent", () => {
  const base = values(all, config);
  expect(change(all, base, { ...base })).toEqual({ patch: {}, errors: {} });
  const draft = {
    ...base,
    max_players: " 16 ",
    memory_max: "1024",
    cvars: [...(base["cvars"] as []), { key: "sv_x", value: "a b" }, { key: "", value: "" }] as Value,
    args: ["-tickrate", " 60", ""],
    cpu_weight: "0",
  };
  expect(change(all, base, draft)).toEqual({
    patch: { max_players: 16, memory_max: 1 << 30, cvars: { a: "1", b: "2", sv_x: "a b" }, args: ["-tickrate", "60"] },
    errors: {},
  });
});

test("what is emptied goes back to the default", () => {
  const base = values(all, { ...config, memory_max: 512 << 20, cpus: "0-1" });
  expect(base["memory_max"]).toBe("512");
  expect(change(all, base, { ...base, memory_max: "", cpus: "" }).patch).toEqual({ memory_max: 0, cpus: "" });
});

test("what cannot be sent is told beside its field", () => {
  const base = values(all, config);
  const draft = {
    ...base,
    port: "",
    max_players: "4.5",
    memory_max: "much",
    cvars: [
      { key: "a", value: "1" },
      { key: "a", value: "2" },
    ],
  };
  expect(change(all, base, draft)).toEqual({
    patch: {},
    errors: {
      port: "A number is needed.",
      max_players: "A whole number is needed.",
      memory_max: "This is no number.",
      cvars: "a stands here twice.",
    },
  });
  expect(parse(named("port"), "70000")).toEqual({ error: "65535 is the most." });
  expect(parse(named("heal"), "maybe")).toEqual({ error: "Choose one of off, failed, always." });
  expect(parse(named("cvars"), [{ key: "__proto__", value: "x" }]).value).toEqual(JSON.parse('{"__proto__":"x"}'));
});

test("what others set meanwhile is taken over, and never over what is typed", () => {
  const base = values(all, config);
  const draft = { ...base, map: "c2m1_highway", port: "27016", hostname: "mine" };
  const now = values(all, { ...config, map: "c3m1_plankcountry", gamemode: "versus", hostname: "mine" });
  const got = merge(all, base, draft, now);
  expect(got.clashes).toEqual(["map"]);
  expect(got.draft).toMatchObject({ map: "c2m1_highway", port: "27016", gamemode: "versus", hostname: "mine" });
  expect(dirty(all, got.base, got.draft)).toEqual(["port", "map"]);
});

test("the daemon’s errors find their fields", () => {
  const got = refused(all, [
    { field: "config.port", detail: "taken" },
    { field: "body.config.map", detail: "is <b>no</b> map" },
    { field: "config.cvars.sv_x", detail: "bad" },
    { field: "config.args[1]", detail: "not allowed" },
    { field: "body", detail: "broken" },
    { field: "config", detail: "missing" },
  ]);
  expect(got).toEqual({
    byField: { port: "taken", map: "is <b>no</b> map", cvars: "sv_x: bad", args: "[1]: not allowed" },
    general: ["broken", "missing"],
  });
});
