import { expect, test } from "vitest";
import { asText, Log, mark, search, severity, type Entry } from "./console";

function entry(n: number, message = `line ${n}`): Entry {
  return { at: new Date(Date.UTC(2026, 0, 1, 0, 0, n % 60)).toISOString(), priority: 6, message, cursor: `c${n}` };
}

function many(from: number, to: number): Entry[] {
  return Array.from({ length: to - from }, (_, i) => entry(from + i));
}

const texts = (log: Log) => log.lines.map((l) => l.text);

test("the oldest lines go, and never more are kept than the limit", () => {
  const log = new Log(300);
  log.push(many(0, 1000));
  expect(log.size).toBeLessThanOrEqual(300);
  expect(log.size).toBeGreaterThan(200);
  expect(texts(log).at(-1)).toBe("line 999");
});

test("what came again is shown once; what came without a link is told", () => {
  const log = new Log();
  log.push(many(0, 3));
  log.reopened();
  log.push(many(1, 5));
  expect(texts(log)).toEqual(["line 0", "line 1", "line 2", "line 3", "line 4"]);
  log.reopened();
  log.push(many(9, 10));
  expect(log.lines.map((l) => l.kind)).toEqual(["entry", "entry", "entry", "entry", "entry", "note", "entry"]);
});

test("held, it stands still and counts; released, it goes on", () => {
  const log = new Log(200);
  log.push(many(0, 10));
  const before = log.blocks;
  log.hold();
  log.push(many(10, 500));
  expect(log.blocks).toBe(before);
  expect(log.waiting).toBe(490);
  log.release();
  expect(log.waiting).toBe(0);
  expect(texts(log).at(-1)).toBe("line 499");
  expect(log.size).toBeLessThanOrEqual(200);
});

test("a block that is full is never touched again", () => {
  const log = new Log();
  log.push(many(0, 150));
  const first = log.blocks[0];
  log.push(many(150, 160));
  expect(log.blocks[0]).toBe(first);
});

test("a search takes its words as they are", () => {
  const log = new Log();
  log.push([entry(0, "a.b A.B aXb"), entry(1, "x (a.b) \\x1b[31ma.\\x1b[0mb")]);
  const found = search(log.lines, "a.B");
  expect(found).toEqual([
    { line: 0, from: 0, to: 3 },
    { line: 0, from: 4, to: 7 },
    { line: 1, from: 3, to: 6 },
    { line: 1, from: 8, to: 11 },
  ]);
  expect(search(log.lines, "")).toEqual([]);
  expect(search(log.lines, "(")).toEqual([{ line: 1, from: 2, to: 3 }]);
  expect(search(log.lines, "-[")).toEqual([]);
});

test("what was found is marked across colours, and markup stays text", () => {
  const log = new Log();
  log.push([entry(0, "<b>\\x1b[31mre\\x1b[0md</b>")]);
  const line = log.lines[0]!;
  const hits = search(log.lines, "red");
  expect(mark(line, hits, hits[0]!)).toEqual([
    { text: "<b>", style: "", hit: "none" },
    { text: "re", style: "fg1", hit: "current" },
    { text: "d", style: "", hit: "current" },
    { text: "</b>", style: "", hit: "none" },
  ]);
  expect(mark(line, hits, null).map((p) => p.hit)).toEqual(["none", "hit", "hit", "none"]);
});

test("priorities and copies", () => {
  expect([0, 3, 4, 5, 6, 7].map(severity)).toEqual(["error", "error", "warning", "notice", "info", "debug"]);
  const log = new Log();
  log.push([entry(1, "one")]);
  log.say("lost");
  expect(asText(log.lines)).toBe("2026-01-01T00:00:01.000Z one\n-- lost\n");
});
