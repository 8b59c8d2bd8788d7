import { expect, test } from "vitest";
import { columns, known, summary, type Series } from "./series";

const none = [null, null, null];
const series: Series = {
  step_seconds: 60,
  at: [0, 60, 240],
  memory_bytes: [1, null, 3],
  memory_bytes_max: [2, null, 4],
  cpu_percent: none,
  cpu_percent_max: none,
  players: [0, 0.5, 2],
  players_max: [0, 1, 2],
};

test("what is not known stays a gap, also where times are left out", () => {
  expect(columns(series, "memory_bytes", "players")).toEqual([
    [0, 60, 120, 240],
    [1, null, null, 3],
    [0, 0.5, null, 2],
  ]);
});

test("nothing known is told", () => {
  expect(known(columns(series, "cpu_percent"))).toBe(false);
  expect(known(columns(series, "players"))).toBe(true);
  const say = (n: number) => n.toFixed(1);
  expect(summary(series.cpu_percent, series.cpu_percent_max, say)).toBe("nothing known");
  expect(summary(series.memory_bytes, series.memory_bytes_max, say)).toBe("2.0 on average, 4.0 at most, 3.0 last");
});
