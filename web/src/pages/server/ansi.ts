/**
 * What a game's line shows of colours. The journal's reader has escaped control
 * characters, so that ESC stands there as the four characters \x1b; both forms are
 * read. Only "select graphic rendition" is obeyed; every other sequence stays text.
 */
export interface Piece {
  text: string;
  /** Names of classes, from a fixed set: nothing that a game wrote gets into them. */
  style: string;
}

// eslint-disable-next-line no-control-regex
const sgr = /(?:\u001b|\\x1b)\[([0-9;]{0,64})m/g;

interface Pen {
  fg: number | null;
  bg: number | null;
  bold: boolean;
  dim: boolean;
  italic: boolean;
  underline: boolean;
}

const blank: Pen = { fg: null, bg: null, bold: false, dim: false, italic: false, underline: false };

/** pieces cuts a line where its colours change. */
export function pieces(message: string): Piece[] {
  const out: Piece[] = [];
  const pen: Pen = { ...blank };
  let at = 0;
  const add = (text: string) => {
    if (text === "") return;
    const style = styleOf(pen);
    const last = out.at(-1);
    if (last?.style === style) last.text += text;
    else out.push({ text, style });
  };
  for (const found of message.matchAll(sgr)) {
    add(message.slice(at, found.index));
    obey(pen, found[1] ?? "");
    at = found.index + found[0].length;
  }
  add(message.slice(at));
  return out;
}

/** plain is a line without its colours: what is searched. */
export function plain(message: string): string {
  return message.includes("[") ? message.replace(sgr, "") : message;
}

function obey(pen: Pen, parameters: string): void {
  const codes = parameters.split(";").map((word) => Number(word || "0"));
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i]!;
    if (code === 38 || code === 48) {
      const [color, used] = extended(codes.slice(i + 1));
      if (code === 38) pen.fg = color;
      else pen.bg = color;
      i += used;
    } else simple(pen, code);
  }
}

function simple(pen: Pen, code: number): void {
  if (code === 0) Object.assign(pen, blank);
  else if (code === 1) pen.bold = true;
  else if (code === 2) pen.dim = true;
  else if (code === 3) pen.italic = true;
  else if (code === 4) pen.underline = true;
  else if (code === 22) pen.bold = pen.dim = false;
  else if (code === 23) pen.italic = false;
  else if (code === 24) pen.underline = false;
  else if (code >= 30 && code <= 37) pen.fg = code - 30;
  else if (code === 39) pen.fg = null;
  else if (code >= 40 && code <= 47) pen.bg = code - 40;
  else if (code === 49) pen.bg = null;
  else if (code >= 90 && code <= 97) pen.fg = code - 82;
  else if (code >= 100 && code <= 107) pen.bg = code - 92;
}

/** extended reads what follows 38 or 48: the nearest of the 16 colours, and how many numbers it took. */
function extended(rest: number[]): [number | null, number] {
  if (rest[0] === 5) return [indexed(rest[1] ?? 0), 2];
  if (rest[0] === 2) return [nearest(rest[1] ?? 0, rest[2] ?? 0, rest[3] ?? 0), 4];
  return [null, rest.length];
}

function indexed(n: number): number | null {
  if (n > 255) return null;
  if (n < 16) return n;
  if (n >= 232) {
    const grey = 8 + (n - 232) * 10;
    return nearest(grey, grey, grey);
  }
  const step = (v: number) => (v === 0 ? 0 : 55 + v * 40);
  const cube = n - 16;
  return nearest(step(Math.floor(cube / 36)), step(Math.floor(cube / 6) % 6), step(cube % 6));
}

function nearest(r: number, g: number, b: number): number {
  const bright = Math.max(r, g, b) > 191 ? 8 : 0;
  const limit = bright ? 128 : 64;
  const bits = (r > limit ? 1 : 0) | (g > limit ? 2 : 0) | (b > limit ? 4 : 0);
  return bits === 0 ? 8 : bits + bright;
}

function styleOf(pen: Pen): string {
  const names: string[] = [];
  if (pen.fg !== null) names.push(`fg${pen.fg}`);
  if (pen.bg !== null) names.push(`bg${pen.bg}`);
  if (pen.bold) names.push("bold");
  if (pen.dim) names.push("dim");
  if (pen.italic) names.push("italic");
  if (pen.underline) names.push("underline");
  return names.join(" ");
}
