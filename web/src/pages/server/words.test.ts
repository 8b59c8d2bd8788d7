import { expect, test } from "vitest";
import { happened, heals, lowest, merged, mood } from "./words";

test("the history is told in words", () => {
  const cases = [
    { kind: "refusal", what: "stop" },
    { kind: "refusal" },
    { kind: "job", what: "start", to: "queued", job: 17 },
    { kind: "job", what: "start", to: "failed", job: 17 },
    { kind: "change", what: "change" },
    { kind: "desired", to: "running" },
    { kind: "healing", to: "gave-up" },
    { kind: "state", from: "running", to: "failed" },
    { kind: "drift", from: "none", to: "down" },
    { kind: "later", from: "a", to: "b" },
  ];
  expect(cases.map(happened)).toEqual([
    "stop refused",
    "requests refused",
    "start asked for, job 17",
    "start failed, job 17",
    "change",
    "enabled",
    "healing gave up",
    "running → failed",
    "drift: none → down",
    "later: a → b",
  ]);
  expect(cases.map(mood)).toEqual(["bad", "bad", "", "bad", "", "", "warn", "bad", "bad", ""]);
});

test("healing is told", () => {
  expect(heals({ attempt: 2, limit: 5, gave_up: false }, "in 40 s")).toBe(
    "left4med starts it again in 40 s, attempt 2 of 5.",
  );
  expect(heals({ attempt: 1, limit: 5, gave_up: true }, "")).toBe(
    "Healing gave up after 1 start; the next start is yours.",
  );
});

test("pages are put together", () => {
  expect(lowest([{ id: 5 }, { id: 3 }])).toBe(3);
  expect(lowest([])).toBe(null);
  expect(
    merged(
      [{ id: 5, a: 1 }],
      [
        { id: 5, a: 2 },
        { id: 6, a: 3 },
      ],
    ),
  ).toEqual([
    { id: 6, a: 3 },
    { id: 5, a: 1 },
  ]);
});
