const secretWord = /[a-z0-9_.-]*(?:passw|token|sv_setsteamaccount|secret|authkey|apikey)[a-z0-9_.-]*/gi;
const placeholder = "[secret]";

/**
 * redact is a command without the values of secrets, as the daemon puts it on
 * record: what follows the name of one, up to the end of that command. It rather
 * takes out too much.
 */
export function redact(command: string): string {
  let out = "";
  let rest = command;
  let quoted = false;
  for (;;) {
    secretWord.lastIndex = 0;
    const found = secretWord.exec(rest);
    if (!found) return out + rest;
    const after = found.index + found[0].length;
    const before = rest.slice(0, after);
    if ((before.split('"').length - 1) % 2 === 1) quoted = !quoted;
    out += before;
    rest = rest.slice(after);
    let end = 0;
    for (; end < rest.length && (quoted || rest[end] !== ";"); end++) {
      if (rest[end] === '"') quoted = !quoted;
    }
    const value = rest.slice(0, end);
    out += /^[ "]*$/.test(value) ? value : ` ${placeholder}`; // empty: it only asks
    rest = rest.slice(end);
  }
}

/** Store is what of sessionStorage is needed. */
export interface Store {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

const mostRemembered = 100;

/**
 * History is what was sent to one server's console, for the arrow keys. It lasts as
 * long as the tab, and never holds the value of a secret.
 */
export class History {
  private readonly key: string;
  private lines: string[];
  private at: number;
  private draft = "";

  constructor(
    server: string,
    private readonly store: Store | null,
  ) {
    this.key = `left4med.rcon.${server}`;
    this.lines = this.read();
    this.at = this.lines.length;
  }

  add(command: string): void {
    const line = redact(command.trim());
    if (line !== "" && this.lines.at(-1) !== line) this.lines = [...this.lines, line].slice(-mostRemembered);
    this.at = this.lines.length;
    this.draft = "";
    try {
      this.store?.setItem(this.key, JSON.stringify(this.lines));
    } catch {
      // A browser may forbid it or have no room; then it lasts as long as the page.
    }
  }

  /** older and newer go through what was sent; what was being typed comes back at the end. */
  older(typed: string): string {
    if (this.at === this.lines.length) this.draft = typed;
    if (this.at > 0) this.at--;
    return this.lines[this.at] ?? typed;
  }

  newer(typed: string): string {
    if (this.at >= this.lines.length) return typed;
    this.at++;
    return this.lines[this.at] ?? this.draft;
  }

  private read(): string[] {
    try {
      const value: unknown = JSON.parse(this.store?.getItem(this.key) ?? "[]");
      return Array.isArray(value) ? value.filter((v) => typeof v === "string").slice(-mostRemembered) : [];
    } catch {
      return [];
    }
  }
}

/** maxCommand is how many bytes the game takes. */
export const maxCommand = 510;

/** fault says what is wrong with a command before it is sent, or ''. */
export function fault(command: string): string {
  const bytes = new TextEncoder().encode(command).length;
  if (bytes > maxCommand) return `This command has ${bytes} bytes; the game takes ${maxCommand} at most.`;
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(command)) return "A command is one line without control characters.";
  return "";
}

const hints: Record<string, string> = {
  "not-running": "Start the server first.",
  "rcon-refused":
    "The password the game runs with is another than the one set here. Restart the server, so that the one set here applies.",
  "game-unreachable":
    "The game may be loading a map or hang. Try again in a few seconds; the console shows what it does.",
  "game-stranger":
    "Another program listens on this server’s port, so nothing was sent. Find it on the host with: ss -lptun",
  "probe-unavailable": "On the host, see: systemctl status left4med-probe.socket left4med-probe.service",
  "not-authorized": "Ask an administrator for the role operator.",
  "daemon-unreachable": "On the host, see: systemctl status left4med",
};

/** hint is what to do about a problem of the given code, or ''. */
export function hint(code: string): string {
  return hints[code] ?? "";
}
