/** Schema is what of a JSON schema is read. */
export interface Schema {
  type?: string | string[];
  description?: string;
  enum?: unknown[];
  minimum?: number;
  maximum?: number;
  pattern?: string;
  items?: Schema;
  additionalProperties?: boolean | Schema;
  properties?: Record<string, Schema>;
  required?: string[];
}

/** Spec is what of the daemon's OpenAPI document is read. */
export interface Spec {
  components: { schemas: Record<string, Schema> };
}

export type Kind = "text" | "number" | "choice" | "switch" | "list" | "map";

/** Field is a setting as it is asked for. */
export interface Field {
  name: string;
  label: string;
  kind: Kind;
  help: string;
  options: string[];
  minimum?: number;
  maximum?: number;
  pattern?: string;
  /** What a number typed is multiplied with, and the unit it is typed in. */
  factor: number;
  unit: string;
  /** Whether it may be left empty, for the default. */
  optional: boolean;
  /** Whether a change is in force at once; else at the next start. */
  atOnce: boolean;
}

/** Pair is a row of a map. */
export interface Pair {
  key: string;
  value: string;
}

/** Value is what stands in a field: as typed, nothing parsed. */
export type Value = string | boolean | string[] | Pair[];

export type Values = Record<string, Value>;
export type Config = Record<string, unknown>;

const labels: Record<string, string> = {
  port: "Port",
  hostname: "Host name",
  map: "Map",
  gamemode: "Game mode",
  max_players: "Player slots",
  heal: "Healing",
  overlays: "Overlays",
  args: "Arguments",
  cvars: "Console variables",
  memory_max: "Memory limit",
  cpu_weight: "Processor weight",
  cpus: "Processors",
};

/** fields are the settings that a change may have, in the order in which people think of them; new ones come last. */
export function fields(spec: Spec): Field[] {
  const patch = spec.components.schemas["ConfigPatch"]?.properties ?? {};
  const always = spec.components.schemas["Config"]?.required ?? [];
  const order = Object.keys(labels);
  const rank = (name: string) => (order.includes(name) ? order.indexOf(name) : order.length);
  return Object.entries(patch)
    .filter(([name]) => name !== "$schema")
    .map(([name, schema]) => field(name, schema, !always.includes(name)))
    .sort((a, b) => rank(a.name) - rank(b.name));
}

function field(name: string, s: Schema, optional: boolean): Field {
  const help = s.description ?? "";
  const mebibytes = /\bin bytes\b/.test(help);
  return {
    name,
    label: labels[name] ?? name.replaceAll("_", " ").replace(/^./, (c) => c.toUpperCase()),
    kind: kindOf(s),
    help: mebibytes ? help.replace(", in bytes", "") : help,
    options: (s.enum ?? []).map(String),
    minimum: s.minimum,
    maximum: s.maximum,
    pattern: s.pattern,
    factor: mebibytes ? 1 << 20 : 1,
    unit: mebibytes ? "MiB" : "",
    optional,
    atOnce: /\bin force at once\b/i.test(help),
  };
}

function kindOf(s: Schema): Kind {
  const type = Array.isArray(s.type) ? s.type.find((t) => t !== "null") : s.type;
  if (s.enum) return "choice";
  if (type === "integer" || type === "number") return "number";
  if (type === "boolean") return "switch";
  if (type === "array") return "list";
  return type === "object" ? "map" : "text";
}

/** values are a server's settings as they stand in the form. */
export function values(all: Field[], config: Config): Values {
  return Object.fromEntries(all.map((f) => [f.name, shown(f, config[f.name])]));
}

function shown(f: Field, v: unknown): Value {
  switch (f.kind) {
    case "number":
      return typeof v === "number" && !(f.optional && v === 0) ? String(v / f.factor) : "";
    case "switch":
      return v === true;
    case "list":
      return Array.isArray(v) ? v.map(String) : [];
    case "map":
      return Object.entries((v as Record<string, unknown> | undefined) ?? {})
        .map(([key, value]) => ({ key, value: String(value) }))
        .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  }
  return v === undefined || v === null ? "" : String(v);
}

/** Parsed is a field's value for the daemon, or what is wrong with it. */
export type Parsed = { value: unknown; error?: undefined } | { error: string; value?: undefined };

/** parse reads what was typed. The daemon has the last word; what it would surely refuse is told here. */
export function parse(f: Field, v: Value): Parsed {
  switch (f.kind) {
    case "number":
      return parseNumber(f, String(v).trim());
    case "list":
      return { value: (v as string[]).map((s) => s.trim()).filter((s) => s !== "") };
    case "map":
      return parseMap(v as Pair[]);
    case "switch":
      return { value: v === true };
    case "choice":
      return f.options.includes(String(v)) ? { value: v } : { error: `Choose one of ${f.options.join(", ")}.` };
  }
  if (f.pattern !== undefined && v !== "" && !matches(f.pattern, String(v)))
    return { error: `This does not fit ${f.pattern}.` };
  return { value: v };
}

function matches(pattern: string, v: string): boolean {
  try {
    return new RegExp(pattern, "u").test(v);
  } catch {
    return true; // a pattern of another dialect: the daemon knows
  }
}

function parseNumber(f: Field, s: string): Parsed {
  if (s === "") return f.optional ? { value: 0 } : { error: "A number is needed." };
  const n = Number(s.replace(",", ".")) * f.factor;
  if (!Number.isFinite(n) || !/^-?\d+([.,]\d+)?$/.test(s)) return { error: "This is no number." };
  const whole = Math.round(n);
  if (f.factor === 1 && whole !== n) return { error: "A whole number is needed." };
  if (f.minimum !== undefined && whole < f.minimum) return { error: `${f.minimum / f.factor} is the least.` };
  if (f.maximum !== undefined && whole > f.maximum) return { error: `${f.maximum / f.factor} is the most.` };
  return { value: whole };
}

function parseMap(pairs: Pair[]): Parsed {
  const out = new Map<string, string>();
  for (const { key, value } of pairs) {
    const name = key.trim();
    if (name === "") {
      if (value.trim() === "") continue;
      return { error: `The value ${value} has no name.` };
    }
    if (out.has(name)) return { error: `${name} stands here twice.` };
    out.set(name, value);
  }
  return { value: Object.fromEntries(out) };
}

/** equal says whether two values of a field mean the same. */
export function equal(f: Field, a: Value, b: Value): boolean {
  const p = parse(f, a);
  const q = parse(f, b);
  if (p.error !== undefined || q.error !== undefined) return JSON.stringify(a) === JSON.stringify(b);
  return canonical(p.value) === canonical(q.value);
}

function canonical(v: unknown): string {
  if (v !== null && typeof v === "object" && !Array.isArray(v)) {
    return JSON.stringify(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)));
  }
  return JSON.stringify(v);
}

/** dirty are the names of fields in which somebody typed something new. */
export function dirty(all: Field[], base: Values, draft: Values): string[] {
  return all.filter((f) => !equal(f, base[f.name]!, draft[f.name]!)).map((f) => f.name);
}

/** Merged is a form after the server's settings were changed by others. */
export interface Merged {
  base: Values;
  draft: Values;
  /** Fields that both changed, to different values: what is typed stays. */
  clashes: string[];
}

/**
 * merge takes over what others have set, but never into a field in which something
 * was typed.
 */
export function merge(all: Field[], base: Values, draft: Values, now: Values): Merged {
  const merged: Merged = { base: now, draft: { ...draft }, clashes: [] };
  for (const f of all) {
    const mine = !equal(f, base[f.name]!, draft[f.name]!);
    const theirs = !equal(f, base[f.name]!, now[f.name]!);
    if (!mine) merged.draft[f.name] = now[f.name]!;
    else if (theirs && !equal(f, draft[f.name]!, now[f.name]!)) merged.clashes.push(f.name);
  }
  return merged;
}

/** Change is what is sent, or what is wrong in which field. */
export interface Change {
  patch: Config;
  errors: Record<string, string>;
}

/** change holds the changed fields alone. */
export function change(all: Field[], base: Values, draft: Values): Change {
  const out: Change = { patch: {}, errors: {} };
  const changed = dirty(all, base, draft);
  for (const f of all) {
    if (!changed.includes(f.name)) continue;
    const p = parse(f, draft[f.name]!);
    if (p.error !== undefined) out.errors[f.name] = p.error;
    else out.patch[f.name] = p.value;
  }
  return out;
}

/** FieldError as the daemon tells it. */
export interface FieldError {
  field: string;
  detail: string;
}

/**
 * refused sorts the daemon's errors to the fields: "config.port", "body.config.port"
 * and "config.cvars.sv_x" belong to port and cvars; what belongs to none is kept as
 * general.
 */
export function refused(all: Field[], errors: FieldError[]): { byField: Record<string, string>; general: string[] } {
  const byField: Record<string, string> = {};
  const general: string[] = [];
  for (const e of errors) {
    const path = e.field.replace(/^body\.?/, "").replace(/^config\.?/, "");
    const name = path.split(/[.[]/)[0] ?? "";
    if (!all.some((f) => f.name === name)) {
      general.push(e.detail);
      continue;
    }
    const text = path === name ? e.detail : `${path.slice(name.length).replace(/^\./, "")}: ${e.detail}`;
    byField[name] = byField[name] === undefined ? text : `${byField[name]} ${text}`;
  }
  return { byField, general };
}
