// @vitest-environment happy-dom
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Problem } from "./api";
import { live } from "./live.svelte";
import { Reading } from "./reading.svelte";
import type { Job } from "./types";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const job = (id: number, state: Job["state"]) => ({ id, state, kind: "start" }) as Job;

it("gathers what asks for it, and reads once more for what came meanwhile", async () => {
  const answers: (() => void)[] = [];
  let n = 0;
  const reading = new Reading(() => new Promise<number>((resolve) => answers.push(() => resolve(++n))));
  const first = reading.refresh();
  void reading.refresh();
  void reading.refresh();
  expect(answers).toHaveLength(1);
  answers[0]!();
  await vi.waitFor(() => expect(answers).toHaveLength(2));
  answers[1]!();
  await first;
  expect([reading.data, reading.busy]).toEqual([2, false]);
});

it("keeps what it has when it cannot read, and says why", async () => {
  let fail = false;
  const reading = new Reading(async () => {
    if (fail) throw new Problem(503, "busy", "cannot read it");
    return "it";
  });
  await reading.refresh();
  fail = true;
  await reading.refresh();
  expect([reading.data, reading.problem?.detail]).toEqual(["it", "cannot read it"]);
  fail = false;
  await reading.refresh();
  expect(reading.problem).toBeNull();
});

it("reads at its occasions, and no more when nobody watches", async () => {
  const load = vi.fn(async () => 1);
  const reading = new Reading(load);
  const stop = reading.watch({ every: 30_000, job: (j) => j.state === "succeeded" });
  expect(load).toHaveBeenCalledTimes(1);
  for (let id = 1; id < 20; id++) live.noteJob(job(id, "succeeded"));
  live.noteJob(job(20, "running"));
  await vi.advanceTimersByTimeAsync(1000);
  expect(load).toHaveBeenCalledTimes(2);
  for (const tell of live.onReset) tell();
  await vi.advanceTimersByTimeAsync(1000);
  expect(load).toHaveBeenCalledTimes(3);
  await vi.advanceTimersByTimeAsync(30_000);
  expect(load).toHaveBeenCalledTimes(4);
  stop();
  live.noteJob(job(21, "succeeded"));
  await vi.advanceTimersByTimeAsync(90_000);
  expect(load).toHaveBeenCalledTimes(4);
});
