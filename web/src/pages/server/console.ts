import { pieces, plain, type Piece } from "./ansi";

/** Entry is a line of a log as the daemon tells it. */
export interface Entry {
  at: string;
  priority: number;
  message: string;
  cursor: string;
  pid?: number;
  invocation_id?: string;
}

/** Line is what the console shows: a line of the log, or a note of our own. */
export interface Line {
  id: number;
  kind: "entry" | "note";
  at: Date | null;
  priority: number;
  /** As the daemon told it, for copies. */
  raw: string;
  /** Without colours: what is searched. */
  text: string;
  pieces: Piece[];
  cursor: string;
}

/** Block is so many lines that the page lays out together. */
export interface Block {
  id: number;
  lines: Line[];
}

const blockSize = 100;
const notes = 6; // the priority of a note

/**
 * Log holds the last lines of a log. While it is held, what comes waits aside, so
 * that what is read stands still; nothing is kept beyond the limit.
 */
export class Log {
  blocks: Block[] = [];
  /** How many lines came since it was held. */
  waiting = 0;
  held = false;
  private aside: Line[] = [];
  private seen = new Set<string>();
  private next = 0;
  private fresh = false;

  constructor(private readonly limit = 5000) {}

  /** push takes lines as they came. Those that are there already are passed over: a stream that came back repeats them. */
  push(entries: Entry[]): void {
    for (const e of entries) {
      if (e.cursor !== "" && this.seen.has(e.cursor)) {
        this.fresh = false;
        continue;
      }
      if (this.fresh && this.next > 0)
        this.add(this.note("Lines may be missing here: the log came back without a link to what stands above."));
      this.fresh = false;
      if (e.cursor !== "") this.seen.add(e.cursor);
      this.add(this.line(e));
    }
  }

  /** reopened says that the stream begins anew: unless it repeats a line, some may be missing. */
  reopened(): void {
    this.fresh = true;
  }

  /** say adds a note of the console's own. */
  say(text: string): void {
    this.add(this.note(text));
  }

  hold(): void {
    this.held = true;
  }

  release(): void {
    this.held = false;
    this.waiting = 0;
    const aside = this.aside;
    this.aside = [];
    for (const line of aside) this.append(line);
    this.trim();
  }

  clear(): void {
    this.blocks = [];
    this.aside = [];
    this.waiting = 0;
  }

  get lines(): Line[] {
    return this.blocks.flatMap((b) => b.lines);
  }

  get size(): number {
    return this.blocks.reduce((n, b) => n + b.lines.length, 0);
  }

  private add(line: Line): void {
    if (!this.held) {
      this.append(line);
      this.trim();
      return;
    }
    this.waiting++;
    this.aside.push(line);
    if (this.aside.length > this.limit) {
      const dropped = this.aside.splice(0, blockSize);
      this.forget(dropped);
    }
  }

  private append(line: Line): void {
    const last = this.blocks.at(-1);
    // New arrays, so that only the last block is laid out again.
    if (last && last.lines.length < blockSize)
      this.blocks = [...this.blocks.slice(0, -1), { id: last.id, lines: [...last.lines, line] }];
    else this.blocks = [...this.blocks, { id: line.id, lines: [line] }];
  }

  private trim(): void {
    while (this.size > this.limit && this.blocks.length > 1) {
      this.forget(this.blocks[0]!.lines);
      this.blocks = this.blocks.slice(1);
    }
  }

  private forget(lines: Line[]): void {
    for (const l of lines) this.seen.delete(l.cursor);
  }

  private line(e: Entry): Line {
    return {
      id: this.next++,
      kind: "entry",
      at: new Date(e.at),
      priority: e.priority,
      raw: e.message,
      text: plain(e.message),
      pieces: pieces(e.message),
      cursor: e.cursor,
    };
  }

  private note(text: string): Line {
    return {
      id: this.next++,
      kind: "note",
      at: null,
      priority: notes,
      raw: text,
      text,
      pieces: [{ text, style: "" }],
      cursor: "",
    };
  }
}

/** Match is where a searched word stands. */
export interface Match {
  line: number;
  from: number;
  to: number;
}

const mostMatches = 10_000;

/** search finds a text in lines, whatever its case, as text and not as a pattern. */
export function search(lines: Line[], query: string): Match[] {
  if (query === "") return [];
  const pattern = new RegExp(query.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&"), "gi");
  const out: Match[] = [];
  for (const l of lines) {
    for (const found of l.text.matchAll(pattern)) {
      out.push({ line: l.id, from: found.index, to: found.index + found[0].length });
      if (out.length === mostMatches) return out;
    }
  }
  return out;
}

/** Shown is a piece of a line with what a search found in it. */
export interface Shown extends Piece {
  hit: "none" | "hit" | "current";
}

/** mark cuts a line's pieces where a search found something. */
export function mark(line: Line, hits: Match[], current: Match | null): Shown[] {
  if (hits.length === 0) return line.pieces.map((p) => ({ ...p, hit: "none" }));
  const out: Shown[] = [];
  let at = 0;
  let next = 0;
  for (const p of line.pieces) {
    const end = at + p.text.length;
    let from = at;
    while (from < end) {
      while (next < hits.length && hits[next]!.to <= from) next++;
      const h = hits[next];
      const inside = h !== undefined && h.from <= from;
      const to = Math.min(end, h === undefined ? end : inside ? h.to : h.from);
      const hit = !inside ? "none" : same(h, current) ? "current" : "hit";
      out.push({ text: p.text.slice(from - at, to - at), style: p.style, hit });
      from = to;
    }
    at = end;
  }
  return out;
}

function same(a: Match, b: Match | null): boolean {
  return b !== null && a.line === b.line && a.from === b.from;
}

/** severity is the class of a line's priority. */
export function severity(priority: number): "error" | "warning" | "notice" | "info" | "debug" {
  if (priority <= 3) return "error";
  if (priority === 4) return "warning";
  if (priority === 5) return "notice";
  return priority === 6 ? "info" : "debug";
}

/** asText is lines for a file or the clipboard, with exact times. */
export function asText(lines: Line[]): string {
  return lines.map((l) => (l.at ? `${stamp(l.at)} ${l.raw}` : `-- ${l.raw}`) + "\n").join("");
}

function stamp(at: Date): string {
  return Number.isNaN(at.getTime()) ? "-" : at.toISOString();
}
