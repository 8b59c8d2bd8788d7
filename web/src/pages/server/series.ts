/** Series as the daemon tells it. */
export interface Series {
  step_seconds: number;
  at: number[];
  memory_bytes: (number | null)[];
  memory_bytes_max: (number | null)[];
  cpu_percent: (number | null)[];
  cpu_percent_max: (number | null)[];
  players: (number | null)[];
  players_max: (number | null)[];
}

/** Columns are times and, for each line, a value at each of them; null where nothing is known. */
export type Columns = [number[], ...(number | null)[][]];

type Line = Exclude<keyof Series, "step_seconds" | "at">;

/**
 * columns are lines of a series as a chart takes them. Where times are left out a
 * null stands, so that no line is drawn over a time of which nothing is known.
 */
export function columns(s: Series, ...lines: Line[]): Columns {
  const times: number[] = [];
  const values: (number | null)[][] = lines.map(() => []);
  s.at.forEach((t, i) => {
    const last = times.at(-1);
    if (last !== undefined && t - last > s.step_seconds * 1.5) {
      times.push(last + s.step_seconds);
      for (const v of values) v.push(null);
    }
    times.push(t);
    lines.forEach((line, n) => values[n]!.push(s[line][i] ?? null));
  });
  return [times, ...values];
}

/** known says whether there is anything to draw. */
export function known(c: Columns): boolean {
  return c.slice(1).some((values) => values.some((v) => v !== null));
}

/** summary is a line in words, for who does not see the picture. */
export function summary(values: (number | null)[], peaks: (number | null)[], say: (n: number) => string): string {
  const there = values.filter((v) => v !== null);
  const top = peaks.filter((v) => v !== null);
  if (there.length === 0) return "nothing known";
  const mean = there.reduce((sum, v) => sum + v, 0) / there.length;
  const most = top.length === 0 ? Math.max(...there) : top.reduce((a, b) => Math.max(a, b));
  return `${say(mean)} on average, ${say(most)} at most, ${say(there.at(-1)!)} last`;
}
