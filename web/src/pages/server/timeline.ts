/** Span is a time through which a server was the same, as the daemon tells it. */
export interface Span {
  from: string;
  to: string;
  state: "up" | "down" | "stopped" | "unknown";
  wanted: boolean;
  reason?: string;
}

/** Bar is a span as it is drawn, in units of the whole width. */
export interface Bar {
  x: number;
  width: number;
  span: Span;
}

/**
 * bars places spans on a width of 1. A short time in which the server was down is
 * still to be seen: it is drawn at least so wide, and over its neighbours.
 */
export function bars(spans: Span[], from: Date, to: Date, thinnest = 1 / 500): Bar[] {
  const begin = from.getTime();
  const whole = to.getTime() - begin;
  if (!(whole > 0)) return [];
  const out: Bar[] = [];
  for (const span of spans) {
    const a = Math.max(0, (Date.parse(span.from) - begin) / whole);
    const b = Math.min(1, (Date.parse(span.to) - begin) / whole);
    if (!(b > a)) continue;
    const width = span.state === "down" ? Math.max(b - a, thinnest) : b - a;
    out.push({ x: Math.min(a, 1 - width), width, span });
  }
  const order = { up: 0, stopped: 0, unknown: 1, down: 2 };
  return out.sort((p, q) => order[p.span.state] - order[q.span.state]);
}

/** percent is a ratio for people. It says 100 % only when nothing is missing, and 0 % only when there is nothing. */
export function percent(ratio: number | null): string {
  if (ratio === null) return "not known";
  if (ratio >= 1) return "100 %";
  if (ratio <= 0) return "0 %";
  const hundredths = Math.min(9999, Math.max(1, Math.round(ratio * 10_000)));
  return `${(hundredths / 100).toFixed(2)} %`;
}

/** length is how long a time is, for people. */
export function length(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 120) return `${s} s`;
  const m = Math.round(s / 60);
  if (m < 120) return `${m} min`;
  const h = Math.round(s / 3600);
  if (h < 72) return `${h} h`;
  return `${Math.round(s / 86_400)} days`;
}

/** lasted is how long a span was. */
export function lasted(span: Span): string {
  return length((Date.parse(span.to) - Date.parse(span.from)) / 1000);
}

const words = { up: "up", down: "down", stopped: "stopped, as wanted", unknown: "not known" };

/** word says what a server was. */
export function word(span: Span): string {
  if (span.state === "up" && !span.wanted) return "up, though not enabled";
  return words[span.state];
}

/** Tick is a moment on the axis. */
export interface Tick {
  x: number;
  at: Date;
  /** Whether a day begins there. */
  day: boolean;
}

/** ticks are whole hours or days of the reader's zone between two moments, at most about `most` of them. */
export function ticks(from: Date, to: Date, most = 8): Tick[] {
  const begin = from.getTime();
  const whole = to.getTime() - begin;
  if (!(whole > 0)) return [];
  const hours = [1, 2, 3, 6, 12, 24, 48, 72, 168].find((h) => whole / (h * 3_600_000) <= most) ?? 336;
  const at = new Date(from);
  at.setHours(0, 0, 0, 0);
  const out: Tick[] = [];
  const days = Math.max(1, hours / 24);
  for (let day = 0; at.getTime() <= to.getTime(); day += days) {
    const midnight = new Date(at);
    for (let h = 0; h < 24; h += Math.min(24, hours)) {
      const t = new Date(midnight);
      t.setHours(h); // not by adding: a day of 23 or 25 hours has its noon, too
      if (t.getTime() >= begin && t.getTime() <= to.getTime())
        out.push({ x: (t.getTime() - begin) / whole, at: t, day: h === 0 });
    }
    at.setDate(at.getDate() + days);
  }
  return out;
}

/** spanAt finds the span at a place between 0 and 1. */
export function spanAt(spans: Span[], from: Date, to: Date, x: number): number {
  const t = from.getTime() + x * (to.getTime() - from.getTime());
  return spans.findIndex((s) => Date.parse(s.from) <= t && t < Date.parse(s.to));
}
