// The roles, and what each may do.
import type { Role } from "../../lib/types";

export const ROLES: [role: Role, may: string][] = [
  ["viewer", "See everything but secrets and backups: servers, players, consoles, history, health."],
  ["operator", "Also start, stop and restart servers, cancel jobs, and send commands to consoles (RCON)."],
  [
    "admin",
    "Also create, change, reset and delete servers, backups, overlays and orphans, install the game, and manage users.",
  ],
];
