// The product's words for what happens, as l4d2ctl says them.
import type { Drift, Job, JobKind, Requester, Server, ServerState } from "./types";

const DONE: Record<JobKind, string> = {
  install: "installed",
  check: "checked for updates",
  initialize: "created",
  start: "started",
  stop: "stopped",
  restart: "restarted",
  reset: "reset",
  delete: "deleted",
  adopt: "adopted",
  "disable-orphan": "disabled and stopped",
  backup: "backed up",
  restore: "restored",
};

const DOING: Record<JobKind, string> = {
  install: "Installing",
  check: "Checking for updates",
  initialize: "Creating",
  start: "Starting",
  stop: "Stopping",
  restart: "Restarting",
  reset: "Resetting",
  delete: "Deleting",
  adopt: "Adopting",
  "disable-orphan": "Disabling",
  backup: "Backing up",
  restore: "Restoring",
};

/** What a job does: "Starting". */
export function doing(job: Job): string {
  return (job.state === "queued" ? "Waiting: " : "") + (DOING[job.kind] ?? job.kind);
}

/** What a job is about: its server, the game that all share, or the job itself. */
export function subject(job: Job): string {
  if (job.server) return job.server;
  return job.kind === "install" || job.kind === "check" ? "The game" : `Job ${job.id}`;
}

/** How a job ended: "started", "start failed: why". */
export function outcome(job: Job): string {
  let how: string;
  switch (job.state) {
    case "succeeded":
      return DONE[job.kind] ?? `${job.kind} done`;
    case "failed":
      how = `${job.kind} failed`;
      break;
    case "canceled":
      how = `${job.kind} was canceled`;
      if (job.superseded_by) how += `, job ${job.superseded_by} took its place`;
      break;
    default:
      return `${job.kind} is ${job.state}`;
  }
  return job.error?.detail ? `${how}: ${job.error.detail}` : how;
}

/** Who asked for a job: the page's user first. */
export function asker(by: Requester): string {
  if (by.via === "heal") return "healing";
  return by.on_behalf_of || by.user || `uid ${by.uid}`;
}

export const STATES: ServerState[] = ["running", "starting", "restarting", "stopping", "stopped", "failed", "unknown"];

/** What a drift means for this server, and what else may be wanted. */
export interface Trouble {
  means: string;
  /** The one thing that cures it, where the page can do it. */
  cure?: "start";
  /** The command for the host's shell that cures it, where the page cannot. */
  command?: string;
  /** Where on the server's page to look. */
  look?: "console" | "settings";
}

/** What a server's drift means; undefined without one. */
export function trouble(server: Pick<Server, "name" | "state" | "unit" | "drift">): Trouble | undefined {
  const explained: Record<Drift, () => Trouble | undefined> = {
    none: () => undefined,
    down: () => ({ means: `It should run, but it is ${server.state}.`, cure: "start", look: "console" }),
    "not-enabled": () => ({ means: "It runs, but will be gone after a reboot.", cure: "start" }),
    masked: () => ({
      means: "Its unit is masked, so systemd will never start it.",
      command: `systemctl unmask ${server.unit}`,
    }),
    missing: () => ({
      means: "Its files or the unit template are gone.",
      command: `l4d2ctl initialize ${server.name}`,
    }),
    flapping: () => ({
      means: "It crashes again and again, and systemd starts it each time. Its console may say why.",
      look: "console",
    }),
  };
  return explained[server.drift]?.();
}
