/** The lines of a small chart: one for each run of known values, as SVG's points. */
export function spark(values: (number | null)[], width: number, height: number, max?: number): string[] {
  const known = values.filter((v): v is number => v !== null && Number.isFinite(v));
  if (known.length < 2) return [];
  const top = Math.max(max ?? 0, ...known) || 1;
  const step = width / (values.length - 1);
  const lines: string[] = [];
  let line: string[] = [];
  const end = () => {
    if (line.length > 1) lines.push(line.join(" "));
    line = [];
  };
  values.forEach((v, i) => {
    if (v === null || !Number.isFinite(v)) return end();
    const y = height - 1 - (Math.max(0, v) / top) * (height - 2);
    line.push(`${(i * step).toFixed(1)},${y.toFixed(1)}`);
  });
  end();
  return lines;
}
