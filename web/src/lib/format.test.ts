// @vitest-environment happy-dom
import { describe, expect, it } from "vitest";
import { bytes, count, percent, visible } from "./format";
import { duration, relative } from "./time";
import { spark } from "./ui/spark";
import { match } from "./router.svelte";

describe("format", () => {
  it.each([
    [0, "0 B"],
    [1536, "1.5 KiB"],
    [734003200, "700 MiB"],
    [1288490189, "1.2 GiB"],
    [null, "–"],
    [undefined, "–"],
  ])("bytes %s", (n, want) => expect(bytes(n)).toBe(want));

  it("percent and count", () => {
    expect([percent(1.23), percent(45.6), percent(undefined)]).toEqual(["1.2 %", "46 %", "–"]);
    expect([count(1, "server"), count(2, "server")]).toEqual(["1 server", "2 servers"]);
  });

  it("shows what would hide or reorder", () => {
    expect(visible("a\u001b[31mb\u202ec\u200bd\ne\ttab é 漢 🎮")).toBe(
      "a\\x1b[31mb\\u{202e}c\\u{200b}d\\x0ae\ttab é 漢 🎮",
    );
    expect(visible("<img src=x onerror=alert(1)>")).toBe("<img src=x onerror=alert(1)>");
    expect(visible(undefined)).toBe("");
  });
});

describe("time", () => {
  it.each([
    [0, "0 s"],
    [89_000, "89 s"],
    [5 * 60_000, "5 min"],
    [200 * 60_000, "3 h 20 min"],
    [30 * 3600_000, "30 h"],
    [72 * 3600_000, "3 d"],
  ])("duration %i", (ms, want) => expect(duration(ms)).toBe(want));

  it("relative", () => {
    expect([relative(0, 12_000), relative(12_000, 0), relative(0, 500)]).toEqual(["12 s ago", "in 12 s", "now"]);
  });
});

describe("spark", () => {
  it("parts its line where values are unknown", () => {
    expect(spark([0, 10, null, 10, 0], 40, 12)).toEqual(["0.0,11.0 10.0,1.0", "30.0,1.0 40.0,11.0"]);
    expect(spark([5], 40, 12)).toEqual([]);
    expect(spark([null, null], 40, 12)).toEqual([]);
  });
});

describe("router", () => {
  it.each([
    ["/", { page: "servers", name: "", tab: "" }],
    ["/servers/a", { page: "server", name: "a", tab: "" }],
    ["/servers/a/settings", { page: "server", name: "a", tab: "settings" }],
    ["/servers/a%2Fb", { page: "server", name: "a/b", tab: "" }],
    ["/servers/%zz", { page: "server", name: "%zz", tab: "" }],
    ["/host", { page: "host", name: "", tab: "" }],
    ["/setup", { page: "setup", name: "", tab: "" }],
    ["/nothing", { page: "unknown", name: "", tab: "" }],
  ])("%s", (path, want) => expect(match(path)).toEqual(want));
});
