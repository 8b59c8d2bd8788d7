// What the page says of the game that all servers share, and of its installs.
import { ended } from "../../lib/live.svelte";
import type { Job, Updates } from "../../lib/types";

/** What is to be done about an install that failed. */
export interface Remedy {
  text: string;
  /** A command for the host's shell. */
  command?: string;
}

const REMEDIES: Record<string, Remedy> = {
  "steamcmd-missing": {
    text: "SteamCMD is not part of left4med. It is in Debian's non-free packages, for i386; put it on the host, then install the game.",
    command: "dpkg --add-architecture i386 && apt update && apt install steamcmd",
  },
  "no-space": {
    text: "The game needs about 10 GiB, an update as much as it changes. Make room, then try again: what was downloaded stays.",
    command: "df -h /var/lib/left4me",
  },
  "no-network": {
    text: "Steam cannot be reached from the host. Look at its network and name servers, then try again.",
  },
  "invalid-platform": {
    text: "Steam refused the Linux files, also by the way round it. Try again later, or name an account that owns the game in /etc/left4me/steam-account.",
  },
  "login-failed": {
    text: "Steam refuses the account in /etc/left4me/steam-account. Mend it, or remove it to download without an account.",
    command: "editor /etc/left4me/steam-account",
  },
  "steam-guard": {
    text: "Steam Guard wants a code. Log in once by hand on the host, with the account's name for NAME, type the code there, then try again.",
    command: "runuser -u left4me -- env HOME=/var/lib/left4me/steam /usr/games/steamcmd +login NAME +quit",
  },
  "steamcmd-failed": {
    text: "SteamCMD failed. Its own lines say more; trying again is safe.",
    command: "journalctl -u left4me-install.service -n 100",
  },
  "installation-damaged": {
    text: "What was installed before could not be put back whole. Install again with “compare every file”, which mends it.",
  },
  "installation-in-use": {
    text: "Servers run on these files. Install again and let them be stopped for it, at once or when nobody plays.",
  },
  "not-empty": { text: "People played for too long; nothing was stopped. Ask again, or install at once." },
};

/** What to do about a job of the game that did not succeed; undefined when its error says it all. */
export function remedy(job: Job): Remedy | undefined {
  return job.error ? REMEDIES[job.error.code] : undefined;
}

/** Whether a job is about the game itself. */
export function ofGame(job: Job): boolean {
  return job.kind === "install" || job.kind === "check";
}

/** The job that works on the game now, an install before a check. */
export function working(all: Iterable<Job>): Job | undefined {
  return [...all]
    .filter((job) => ofGame(job) && !ended(job))
    .sort((a, b) => (a.kind === b.kind ? b.id - a.id : a.kind === "install" ? -1 : 1))[0];
}

/** The last install or check that ended. */
export function last(all: Iterable<Job>): Job | undefined {
  return [...all].filter((job) => ofGame(job) && ended(job)).sort((a, b) => b.id - a.id)[0];
}

/** Which build there is, and whether there is a newer one. */
export function builds(u: Updates, installed: boolean): string {
  if (!installed) return "The game is not installed.";
  if (u.update_available) return `Build ${u.installed_build} is installed, and build ${u.latest_build} is out.`;
  if (u.update_available === false) return `Build ${u.installed_build} is installed, which is the newest.`;
  if (u.installed_build) return `Build ${u.installed_build} is installed. Whether it is the newest is not known yet.`;
  if (u.latest_build) return `The game is installed; which build is not known. The newest is ${u.latest_build}.`;
  return "The game is installed; which build is not known.";
}

/** How the servers that run are treated by an install. */
export type Manner = "none" | "empty" | "now";

/** The body of POST /v1/install. */
export function installBody(manner: Manner, validate: boolean): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  if (validate) body.validate = true;
  if (manner !== "none") body.restart = true;
  if (manner === "empty") body.when = "empty";
  return body;
}
