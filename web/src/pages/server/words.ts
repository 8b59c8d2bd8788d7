/** Happening is an entry of the history, as far as words need it. */
export interface Happening {
  kind: string;
  what?: string;
  from?: string;
  to?: string;
  job?: number;
}

/** happened says in a few words what an entry of the history tells. */
export function happened(e: Happening): string {
  const words = told(e);
  return e.job ? `${words}, job ${e.job}` : words;
}

function told(e: Happening): string {
  const what = e.what ?? "";
  switch (e.kind) {
    case "refusal":
      return what === "" ? "requests refused" : `${what} refused`;
    case "job":
      return e.to === "queued" ? `${what} asked for` : `${what} ${e.to ?? ""}`;
    case "change":
      return what;
    case "desired":
      return e.to === "running" ? "enabled" : "disabled";
    case "healing":
      return e.to === "gave-up" ? "healing gave up" : `healing ${e.to ?? ""}`;
    case "orphan":
      return e.to === "found" ? "orphan found" : "orphan no more";
    case "alert":
      return `alert ${e.to ?? ""}`;
    case "state":
      return `${e.from ?? "new"} → ${e.to ?? ""}`;
  }
  return `${e.kind}: ${e.from ?? "new"} → ${e.to ?? ""}`;
}

/** mood is the class of an entry: what to look at first. */
export function mood(e: Happening): "bad" | "warn" | "good" | "" {
  if (e.kind === "refusal" || e.to === "failed") return "bad";
  if (e.kind === "drift") return e.to === "none" ? "good" : "bad";
  if (e.kind === "healing") return "warn";
  return e.to === "succeeded" ? "good" : "";
}

/** Healing is what left4med does about a server that is down. */
export interface Healing {
  attempt: number;
  limit: number;
  gave_up: boolean;
  next_at?: string;
}

/** heals says what left4med does about it, when being a time of the kind "in 40 s". */
export function heals(h: Healing, when: string): string {
  if (h.gave_up)
    return `Healing gave up after ${h.attempt === 1 ? "1 start" : `${h.attempt} starts`}; the next start is yours.`;
  return `left4med starts it again ${when}, attempt ${h.attempt} of ${h.limit}.`;
}

/** lowest is where the next page of a list begins: the lowest id there is, or null when there is none. */
export function lowest(list: { id: number }[]): number | null {
  return list.reduce<number | null>((low, e) => (low === null || e.id < low ? e.id : low), null);
}

/** merged puts newer and older entries together, each id once, newest first; what comes first in the arguments wins. */
export function merged<T extends { id: number }>(...lists: T[][]): T[] {
  const all = new Map<number, T>();
  for (const list of lists) for (const e of list) if (!all.has(e.id)) all.set(e.id, e);
  return [...all.values()].sort((a, b) => b.id - a.id);
}
