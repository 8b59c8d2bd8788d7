// Numbers and foreign text as people read them.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** 1536 is "1.5 KiB"; unknown is "–". */
export function bytes(n: number | null | undefined): string {
  if (n === null || n === undefined || !Number.isFinite(n)) return "–";
  let i = 0;
  while (Math.abs(n) >= 1024 && i < UNITS.length - 1) {
    n /= 1024;
    i++;
  }
  return `${i === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${UNITS[i]}`;
}

/** 12.34 is "12 %", 1.23 is "1.2 %"; unknown is "–". */
export function percent(
  n: number | null | undefined,
  digits = n !== null && n !== undefined && n < 10 ? 1 : 0,
): string {
  if (n === null || n === undefined || !Number.isFinite(n)) return "–";
  return `${n.toFixed(digits)} %`;
}

/** 1 is "1 server", 2 is "2 servers". */
export function count(n: number, one: string, many = one + "s"): string {
  return `${n} ${n === 1 ? one : many}`;
}

// What unicode calls graphic, and not a format character, which could reorder or hide
// what stands beside it; the rule of the daemon's server.Visible.
const HIDDEN = /[^\t\p{L}\p{M}\p{N}\p{P}\p{S}\p{Zs}]/gu;

/** Foreign text (names, log lines) with control and invisible characters shown as \xNN or \u{NNNN}. */
export function visible(s: string | null | undefined): string {
  return (s ?? "").replace(HIDDEN, (c) => {
    const code = c.codePointAt(0)!;
    return code < 0x80 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16).padStart(4, "0")}}`;
  });
}
