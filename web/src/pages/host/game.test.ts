import { describe, expect, it } from "vitest";
import type { Job } from "../../lib/types";
import { builds, installBody, last, remedy, working } from "./game";

function job(id: number, kind: Job["kind"], state: Job["state"], code?: string): Job {
  return {
    id,
    kind,
    state,
    superseded_by: null,
    requested_by: { uid: 0, via: "http" },
    created_at: "2026-01-01T00:00:00Z",
    error: code ? { code, detail: "why" } : undefined,
  };
}

describe("the job that works on the game", () => {
  it("is an install before a check, and none that ended or is about a server", () => {
    const all = [
      job(1, "install", "failed"),
      job(2, "install", "running"),
      job(3, "check", "running"),
      job(4, "start", "running"),
    ];
    expect(working(all)?.id).toBe(2);
    expect(working(all.filter((j) => j.id !== 2))?.id).toBe(3);
    expect(working([all[0]!, all[3]!])).toBeUndefined();
  });
  it("is told from the last that ended", () => {
    const all = [job(1, "install", "failed"), job(5, "check", "succeeded"), job(6, "install", "running")];
    expect(last(all)?.id).toBe(5);
  });
});

describe("remedy", () => {
  it("knows what Steam Guard wants", () => {
    expect(remedy(job(1, "install", "failed", "steam-guard"))?.command).toContain("+login NAME");
  });
  it("leaves to the error what it does not know", () => {
    expect(remedy(job(1, "install", "failed", "job-failed"))).toBeUndefined();
    expect(remedy(job(1, "install", "succeeded"))).toBeUndefined();
  });
});

describe("builds", () => {
  it("says only what is known", () => {
    expect(builds({}, false)).toBe("The game is not installed.");
    expect(builds({}, true)).toBe("The game is installed; which build is not known.");
    expect(builds({ installed_build: "1" }, true)).toBe(
      "Build 1 is installed. Whether it is the newest is not known yet.",
    );
    expect(builds({ latest_build: "2" }, true)).toBe(
      "The game is installed; which build is not known. The newest is 2.",
    );
    expect(builds({ installed_build: "1", latest_build: "2", update_available: true }, true)).toBe(
      "Build 1 is installed, and build 2 is out.",
    );
    expect(builds({ installed_build: "2", latest_build: "2", update_available: false }, true)).toBe(
      "Build 2 is installed, which is the newest.",
    );
  });
});

it("asks for an install as the API wants it", () => {
  expect(installBody("none", false)).toEqual({});
  expect(installBody("none", true)).toEqual({ validate: true });
  expect(installBody("now", false)).toEqual({ restart: true });
  expect(installBody("empty", true)).toEqual({ validate: true, restart: true, when: "empty" });
});
