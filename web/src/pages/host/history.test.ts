import { describe, expect, it } from "vitest";
import type { HistoryEntry, Job } from "../../lib/types";
import { merge, refreshed, source, took } from "./history";

const at = "2026-01-01T00:00:00Z";
const entry = (e: Partial<HistoryEntry>): HistoryEntry => ({ id: 1, at, kind: "state", ...e });

it("names who asked, or how it was seen", () => {
  expect(source(entry({ by: { uid: 990, user: "left4med-web", via: "http", on_behalf_of: "kim" } }))).toBe("kim");
  expect(source(entry({ seen_by: "resync" }))).toBe("seen by resync");
  expect(source(entry({}))).toBe("");
});

describe("pages", () => {
  const ids = (...list: number[]) => list.map((id) => ({ id }));
  it("are merged newest first, each entry once", () => {
    expect(
      merge(
        [{ id: 3, v: "new" }],
        [
          { id: 3, v: "old" },
          { id: 1, v: "a" },
        ],
      ),
    ).toEqual([
      { id: 3, v: "new" },
      { id: 1, v: "a" },
    ]);
  });
  it("grow at their top", () => {
    expect(refreshed(ids(5, 4, 3), ids(4, 3, 2), 3)).toEqual({ list: ids(5, 4, 3, 2), gap: false });
    expect(refreshed(ids(2, 1), [], 3)).toEqual({ list: ids(2, 1), gap: false });
  });
  it("let go of what is below a gap", () => {
    expect(refreshed(ids(9, 8, 7), ids(4, 3), 3)).toEqual({ list: ids(9, 8, 7), gap: true });
  });
});

it("knows how long a job took, or that it does not", () => {
  const job = { started_at: at, finished_at: "2026-01-01T00:00:05Z" } as Job;
  expect(took(job)).toBe(5000);
  expect(took({ started_at: at } as Job)).toBeUndefined();
});
