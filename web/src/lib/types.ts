// The daemon's words, from its OpenAPI document.
import type { components } from "./openapi";

type Schemas = components["schemas"];

export type Server = Schemas["Server"];
export type ServerState = Server["state"];
export type Drift = Server["drift"];
export type Config = Schemas["Config"];
export type ConfigPatch = Schemas["ConfigPatch"];
export type Game = Schemas["Game"];
export type Healing = Schemas["Healing"];
export type Job = Schemas["Job"];
export type JobKind = Job["kind"];
export type JobState = Job["state"];
export type Jobs = Schemas["JobsBody"];
export type Progress = Schemas["Progress"];
export type Requester = Schemas["Requester"];
export type Deleted = Schemas["Deleted"];
export type ActAnswer = Schemas["ActAnswer"];
export type Refusal = Schemas["Refusal"];
export type FieldError = Schemas["FieldError"];
export type History = Schemas["HistoryBody"];
export type HistoryEntry = Schemas["HistoryEntry"];
export type Availability = Schemas["Availability"];
export type PresenceSpan = Schemas["PresenceSpan"];
export type Series = Schemas["Series"];
export type Players = Schemas["Players"];
export type Player = Schemas["Player"];
export type LogEntry = Schemas["LogEntry"];
export type RconOutput = Schemas["Output"];
export type Backup = Schemas["Backup"];
export type Backups = Schemas["BackupsBody"];
export type Overlay = Schemas["Overlay"];
export type Overlays = Schemas["OverlaysBody"];
export type Orphan = Schemas["Orphan"];
export type Orphans = Schemas["OrphansBody"];
export type Updates = Schemas["Updates"];
export type Health = Schemas["Health"];
export type Check = Schemas["Check"];
export type AlertsAnswer = Schemas["AlertsOutputBody"];

/** What follows is left4med-web's own. */
export type Role = "viewer" | "operator" | "admin";

export interface User {
  id: number;
  name: string;
  role: Role;
}

/** A user as admins see one. */
export interface Account extends User {
  created_at: string;
  last_sign_in?: string;
  sessions: number;
}

export interface SessionInfo {
  user: User;
  csrf: string;
  expires_at: string;
  version: string;
}

/** One of a user's own sessions. */
export interface OwnSession {
  id: string;
  created_at: string;
  used_at: string;
  source: string;
  agent: string;
  current?: boolean;
}

/** Whether left4med-web hears the daemon. */
export interface Link {
  up: boolean;
  since: string;
  detail?: string;
}

/** When (in seconds since 1970), memory in bytes, percent of one processor; null is unknown. */
export type Sample = [at: number, memory: number | null, cpu: number | null];

/** The body of GET /api/state. */
export interface State {
  event_id: string;
  at: string;
  link: Link;
  servers: Server[] | null;
  samples: Record<string, Sample[]> | null;
}
