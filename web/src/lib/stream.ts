// A reader of Server-Sent Events that notices silence, which EventSource does not, and
// learns why it was refused.
import { Problem } from "./api";

export interface Message {
  /** The event's name, "message" when it has none. */
  event: string;
  data: string;
  id?: string;
}

/** Takes SSE apart as it arrives, in pieces of any size. */
export class Parser {
  #rest = "";
  #data: string[] = [];
  #event = "";
  #id: string | undefined;

  /** The messages that are whole with this piece. */
  push(piece: string): Message[] {
    const messages: Message[] = [];
    this.#rest += piece;
    // A lone \r at the end may be the first half of \r\n.
    const lines = this.#rest.split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop()!;
    for (const line of lines) {
      const message = this.#line(line);
      if (message) messages.push(message);
    }
    return messages;
  }

  #line(line: string): Message | undefined {
    if (line === "") {
      const message = this.#data.length
        ? { event: this.#event || "message", data: this.#data.join("\n"), id: this.#id }
        : undefined;
      this.#data = [];
      this.#event = "";
      this.#id = undefined;
      return message;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return undefined; // a comment: a sign of life only
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#event = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    return undefined;
  }
}

export interface StreamOptions {
  url: string | (() => string);
  /** The id of the last event that is not wanted. */
  after?: string;
  onMessage(message: Message): void;
  /** The stream stands (again). */
  onOpen?(): void;
  /** Anything came, also a comment. */
  onLife?(): void;
  /** The stream broke and will be opened again. */
  onLost?(why: string): void;
  /** The server refused it for good, as with 401, 403, 404: it stays closed. */
  onRefused?(problem: Problem): void;
  /** The server ended it as it should; return true to open it again. Without it, it is opened again. */
  onEnd?(): boolean;
  /** So long may it be silent: the server sends a comment every 10 s. */
  silence?: number;
  /** The shortest and the longest wait before it is opened again. */
  pause?: [number, number];
  fetch?: typeof fetch;
}

/** An open stream. */
export interface Stream {
  close(): void;
  /** Opens it at once if it waits to be opened again. */
  retryNow(): void;
}

/** Opens a stream and keeps it open until it is closed. */
export function openStream(o: StreamOptions): Stream {
  const connection = new Connection(o);
  void connection.run();
  return connection;
}

class Connection implements Stream {
  readonly #o: StreamOptions;
  #last: string | undefined;
  #closed = false;
  #abort = new AbortController();
  #wake: (() => void) | undefined;
  #wait: number;

  constructor(o: StreamOptions) {
    this.#o = o;
    this.#last = o.after;
    this.#wait = this.#shortest;
  }

  get #shortest(): number {
    return this.#o.pause?.[0] ?? 500;
  }

  close(): void {
    this.#closed = true;
    this.#abort.abort();
    this.#wake?.();
  }

  retryNow(): void {
    this.#wake?.();
  }

  async run(): Promise<void> {
    while (!this.#closed) {
      const why = await this.#once();
      if (this.#closed || why === undefined) return;
      this.#o.onLost?.(why);
      await this.#sleep();
    }
  }

  /** One connection: why it broke, or undefined when it is over. */
  async #once(): Promise<string | undefined> {
    this.#abort = new AbortController();
    const silence = this.#o.silence ?? 25_000;
    let silent = false;
    let timer: ReturnType<typeof setTimeout>;
    const alive = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        silent = true;
        this.#abort.abort();
      }, silence);
    };
    alive();
    try {
      const response = await this.#open();
      const refused = await refusal(response);
      if (refused) {
        if (refused.status >= 500 || refused.status === 429) return refused.detail;
        this.#closed = true;
        this.#o.onRefused?.(refused);
        return undefined;
      }
      this.#o.onOpen?.();
      await this.#read(response.body!, alive);
      if (this.#closed || this.#o.onEnd?.() === false) return undefined;
      return "The stream ended.";
    } catch {
      if (silent) return "Nothing came for too long.";
      return "The connection broke.";
    } finally {
      clearTimeout(timer!);
      this.#abort.abort();
    }
  }

  #open(): Promise<Response> {
    const headers: Record<string, string> = { Accept: "text/event-stream" };
    if (this.#last !== undefined) headers["Last-Event-ID"] = this.#last;
    const url = typeof this.#o.url === "function" ? this.#o.url() : this.#o.url;
    return (this.#o.fetch ?? fetch)(url, {
      headers,
      credentials: "same-origin",
      cache: "no-store",
      signal: this.#abort.signal,
    });
  }

  async #read(body: ReadableStream<Uint8Array>, alive: () => void): Promise<void> {
    const parser = new Parser();
    const decoder = new TextDecoder();
    const reader = body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done || this.#closed) return;
      alive();
      this.#wait = this.#shortest;
      this.#o.onLife?.();
      for (const message of parser.push(decoder.decode(value, { stream: true }))) {
        if (message.id !== undefined) this.#last = message.id;
        this.#o.onMessage(message);
        if (this.#closed) return;
      }
    }
  }

  async #sleep(): Promise<void> {
    const wait = this.#wait * (0.75 + Math.random() / 2); // browsers must not come back all at once
    this.#wait = Math.min(this.#wait * 2, this.#o.pause?.[1] ?? 5_000);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, wait);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }
}

async function refusal(response: Response): Promise<Problem | undefined> {
  const type = response.headers.get("Content-Type") ?? "";
  if (response.ok && type.startsWith("text/event-stream")) return undefined;
  let body: { code?: string; detail?: string } = {};
  try {
    body = (await response.json()) as typeof body;
  } catch {
    // Not the server's own words: the status must do.
  }
  const status = response.ok ? 502 : response.status;
  return new Problem(status, body.code ?? `http-${status}`, body.detail ?? `The server answered ${response.status}.`);
}
