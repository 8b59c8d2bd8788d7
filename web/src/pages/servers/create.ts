// The form of a new server.
import type { Problem } from "../../lib/api";
import type { ConfigPatch } from "../../lib/types";

export interface Form {
  name: string;
  hostname: string;
  map: string;
  gamemode: string;
  max_players: string;
  port: string;
}

export const FIELDS: { key: keyof Form; label: string; numeric?: boolean }[] = [
  { key: "name", label: "Name" },
  { key: "hostname", label: "Host name" },
  { key: "map", label: "Map" },
  { key: "gamemode", label: "Game mode" },
  { key: "max_players", label: "Players", numeric: true },
  { key: "port", label: "Port", numeric: true },
];

/** A number, or the text as it was typed: the server says what is wrong with it. */
function number(text: string): number {
  const n = Number(text);
  return Number.isFinite(n) ? n : (text as unknown as number);
}

/** The settings that were given; what is empty has its default. */
export function configOf(form: Form): ConfigPatch {
  const config: ConfigPatch = {};
  const text = (key: "hostname" | "map" | "gamemode") => {
    const value = form[key].trim();
    if (value) config[key] = value;
  };
  text("hostname");
  text("map");
  text("gamemode");
  if (form.max_players.trim()) config.max_players = number(form.max_players.trim());
  if (form.port.trim()) config.port = number(form.port.trim());
  return config;
}

const CODES: Record<string, keyof Form> = { "invalid-name": "name", "name-taken": "name", "port-taken": "port" };

/** What is wrong with a field, also where only the problem's code says which it is. */
export function fieldOf(problem: Problem, field: keyof Form): string | undefined {
  return problem.field(field) ?? (CODES[problem.code] === field ? problem.detail : undefined);
}
