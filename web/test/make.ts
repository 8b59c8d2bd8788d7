// Servers and jobs for tests.
import type { Job, Server } from "../src/lib/types";

export function server(o: Partial<Server> = {}): Server {
  const name = o.name ?? "a";
  return {
    id: 1,
    name,
    unit: `left4me-server@${name}.service`,
    desired: "running",
    state: "running",
    drift: "none",
    stale: false,
    phase: "ready",
    job: null,
    ...o,
  };
}

export function job(o: Partial<Job> = {}): Job {
  return {
    id: 1,
    superseded_by: null,
    kind: "start",
    state: "running",
    requested_by: { uid: 1000, via: "http" },
    created_at: "2026-01-01T00:00:00Z",
    ...o,
  };
}
