// The host's history, and pages of it put together.
import { asker } from "../../lib/words";
import type { HistoryEntry, Job } from "../../lib/types";

/** The kinds of entries, with the words of the filter. */
export const KINDS: [kind: string, words: string][] = [
  ["job", "Jobs"],
  ["refusal", "Refusals"],
  ["change", "Changes"],
  ["state", "States"],
  ["desired", "Enabled, disabled"],
  ["drift", "Drift"],
  ["healing", "Healing"],
  ["orphan", "Orphans"],
  ["alert", "Alerts"],
];

/** Who asked for it, or how it was seen. */
export function source(e: HistoryEntry): string {
  if (e.by) return asker(e.by);
  return e.seen_by ? `seen by ${e.seen_by}` : "";
}

/** Newest first, each id once; what is newer wins. */
export function merge<T extends { id: number }>(newer: readonly T[], older: readonly T[]): T[] {
  const all = new Map<number, T>();
  for (const one of older) all.set(one.id, one);
  for (const one of newer) all.set(one.id, one);
  return [...all.values()].sort((a, b) => b.id - a.id);
}

/**
 * A page that was read anew, put on top of those that were read before. A whole page of
 * entries that are all new may have others below it: then what was before is let go, so
 * that no gap is hidden.
 */
export function refreshed<T extends { id: number }>(
  fresh: readonly T[],
  before: readonly T[],
  size: number,
): { list: T[]; gap: boolean } {
  const lowest = fresh.at(-1)?.id ?? 0;
  const gap = fresh.length >= size && before.length > 0 && before[0]!.id < lowest;
  return { list: gap ? [...fresh] : merge(fresh, before), gap };
}

/** How long a job took, in milliseconds; undefined while it did not begin or end. */
export function took(job: Job): number | undefined {
  if (!job.started_at || !job.finished_at) return undefined;
  return Math.max(0, Date.parse(job.finished_at) - Date.parse(job.started_at));
}
