import { expect, test } from "vitest";
import { bars, lasted, percent, spanAt, ticks, word, type Span } from "./timeline";

const from = new Date("2026-01-01T00:00:00Z");
const to = new Date("2026-01-02T00:00:00Z");
const at = (h: number) => new Date(from.getTime() + h * 3_600_000).toISOString();

const spans: Span[] = [
  { from: at(0), to: at(12), state: "up", wanted: true },
  { from: at(12), to: at(12.001), state: "down", wanted: true, reason: "<script>" },
  { from: at(12.001), to: at(18), state: "unknown", wanted: false },
  { from: at(18), to: at(24), state: "stopped", wanted: false },
];

test("spans get their place, and a short fall is still to be seen", () => {
  const got = bars(spans, from, to);
  expect(got.map((b) => b.span.state)).toEqual(["up", "stopped", "unknown", "down"]);
  expect(got[0]).toMatchObject({ x: 0, width: 0.5 });
  expect(got[3]!.width).toBeCloseTo(0.002, 5);
  expect(got[3]!.span.reason).toBe("<script>");
});

test("what lies outside is cut, and no time at all draws nothing", () => {
  expect(bars(spans, new Date(at(6)), new Date(at(12)))).toEqual([{ x: 0, width: 1, span: spans[0] }]);
  expect(bars(spans, from, from)).toEqual([]);
  expect(ticks(from, from)).toEqual([]);
});

test("a fall at the very end stays inside", () => {
  const end: Span[] = [{ from: at(23.9999), to: at(24), state: "down", wanted: true }];
  const [b] = bars(end, from, to);
  expect(b!.x + b!.width).toBeLessThanOrEqual(1);
});

test("percentages are never rounded to whole or nothing", () => {
  expect([1, 0.99999, 0.5, 0.000001, 0, null].map(percent)).toEqual([
    "100 %",
    "99.99 %",
    "50.00 %",
    "0.01 %",
    "0 %",
    "not known",
  ]);
});

test("a moment has its span", () => {
  expect([0, 0.6, 0.99, 1].map((x) => spanAt(spans, from, to, x))).toEqual([0, 2, 3, -1]);
  expect(spans.map(word)).toEqual(["up", "down", "not known", "stopped, as wanted"]);
  expect(word({ ...spans[0]!, wanted: false })).toBe("up, though not enabled");
  expect(spans.map(lasted)).toEqual(["12 h", "4 s", "6 h", "6 h"]);
});

test("ticks lie on whole hours or days of the reader, few of them", () => {
  for (const days of [1, 7, 30]) {
    const end = new Date(from.getTime() + days * 86_400_000);
    const got = ticks(from, end);
    expect(got.length).toBeGreaterThan(2);
    expect(got.length).toBeLessThanOrEqual(10);
    for (const t of got) {
      expect(t.at.getMinutes()).toBe(0);
      expect(t.x).toBeGreaterThanOrEqual(0);
      expect(t.x).toBeLessThanOrEqual(1);
    }
  }
});
