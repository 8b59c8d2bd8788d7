// Times as people read them, by the server's clock: this device's may be wrong.
import { createSubscriber } from "svelte/reactivity";

let offset = 0; // the server's clock less this device's, in milliseconds
let read = false;

/** Notes what the server's clock said just now. */
export function setClock(serverTime: string | number | Date): void {
  const at = new Date(serverTime).getTime();
  if (!Number.isFinite(at)) return;
  const difference = at - Date.now();
  // The way to here takes time: below two seconds both clocks are as good.
  offset = Math.abs(difference) < 2000 ? 0 : difference;
  read = true;
}

/** Whether the server's clock was ever read. */
export function clockKnown(): boolean {
  return read;
}

/** Now, by the server's clock, in milliseconds. */
export function now(): number {
  return Date.now() + offset;
}

function every(period: number): () => void {
  return createSubscriber((update) => {
    const timer = setInterval(update, period);
    return () => clearInterval(timer);
  });
}

const second = every(1000);
const tenSeconds = every(10_000);

/**
 * Now, and again as time goes by, inside an effect or a template: each second as long
 * as `at` is near, each ten seconds after that. All share one timer of each.
 */
export function ticking(at: number): number {
  if (Math.abs(now() - at) < 90_000) second();
  else tenSeconds();
  return now();
}

/** A length of time: "12 s", "5 min", "3 h 20 min", "4 d". */
export function duration(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 90) return `${s} s`;
  const min = Math.floor(s / 60);
  if (min < 60) return `${min} min`;
  const h = Math.floor(min / 60);
  if (h < 10 && min % 60) return `${h} h ${min % 60} min`;
  if (h < 48) return `${h} h`;
  return `${Math.floor(h / 24)} d`;
}

/** "12 s ago", "in 5 min", "now". */
export function relative(at: number, from: number): string {
  const ms = from - at;
  if (Math.abs(ms) < 1500) return "now";
  return ms > 0 ? `${duration(ms)} ago` : `in ${duration(-ms)}`;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const EXACT = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
const SHORT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** "21:04:05", in the reader's zone. */
export function clock(at: number | Date): string {
  return CLOCK.format(at);
}

/** Date and time in full, with the zone. */
export function exact(at: number | Date): string {
  return EXACT.format(at);
}

/** Date and time, short enough for a table. */
export function stamp(at: number | Date): string {
  return SHORT.format(at);
}
