import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { openStream, Parser, type Message, type Stream } from "./stream";

describe("Parser", () => {
  const whole = 'id: 7\nevent: server\ndata: {"a":\ndata: 1}\n\n: a comment\n\ndata: x\r\n\r\n';
  const messages: Message[] = [
    { event: "server", data: '{"a":\n1}', id: "7" },
    { event: "message", data: "x", id: undefined },
  ];

  it.each([1, 2, 3, 7, 1000])("takes pieces of %i characters", (size) => {
    const parser = new Parser();
    const got: Message[] = [];
    for (let i = 0; i < whole.length; i += size) got.push(...parser.push(whole.slice(i, i + size)));
    expect(got).toEqual(messages);
  });
});

/** A server that a test plays: each request waits for the test to answer it. */
class Played {
  requests: { url: string; last: string | null; push(text: string): void; end(): void }[] = [];
  answer: (n: number) => Response | undefined = () => undefined;

  fetch = ((url: string, init: RequestInit) => {
    let control!: ReadableStreamDefaultController<Uint8Array>;
    const body = new ReadableStream<Uint8Array>({ start: (c) => void (control = c) });
    init.signal!.addEventListener("abort", () => {
      try {
        control.error(new DOMException("aborted", "AbortError"));
      } catch {
        // Ended before.
      }
    });
    this.requests.push({
      url,
      last: new Headers(init.headers).get("Last-Event-ID"),
      push: (text) => control.enqueue(new TextEncoder().encode(text)),
      end: () => control.close(),
    });
    const other = this.answer(this.requests.length);
    return Promise.resolve(other ?? new Response(body, { headers: { "Content-Type": "text/event-stream" } }));
  }) as unknown as typeof fetch;
}

describe("openStream", () => {
  let server: Played;
  let stream: Stream;
  let told: string[];
  const open = (after?: string) => {
    stream = openStream({
      url: "/api/events",
      after,
      fetch: server.fetch,
      onMessage: (m) => told.push(`${m.event} ${m.data}`),
      onOpen: () => told.push("open"),
      onLost: (why) => told.push(`lost: ${why}`),
      onRefused: (p) => told.push(`refused: ${p.code}`),
    });
  };
  const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

  beforeEach(() => {
    vi.useFakeTimers();
    server = new Played();
    told = [];
  });
  afterEach(() => {
    stream.close();
    vi.useRealTimers();
  });

  it("goes on after the last event that it saw", async () => {
    open("5");
    await pass(0);
    server.requests[0]!.push("id: 6\nevent: server\ndata: a\n\nevent: samples\ndata: b\n\n");
    await pass(0);
    server.requests[0]!.end();
    await pass(1000);
    expect(server.requests.map((r) => r.last)).toEqual(["5", "6"]);
    expect(told).toEqual(["open", "server a", "samples b", "lost: The stream ended.", "open"]);
  });

  it("notices silence, and that comments are none", async () => {
    open();
    await pass(20_000);
    server.requests[0]!.push(": alive\n\n");
    await pass(20_000);
    expect(told).toEqual(["open"]);
    await pass(5_001);
    expect(told).toEqual(["open", "lost: Nothing came for too long."]);
  });

  it("waits longer each time, and comes at once when told", async () => {
    server.answer = () => new Response("", { status: 502 });
    open();
    await pass(60_000);
    const slow = server.requests.length;
    expect(slow).toBeGreaterThan(9); // 5 s at most, and a quarter more
    expect(slow).toBeLessThan(22);
    stream.retryNow();
    await pass(0);
    expect(server.requests.length).toBe(slow + 1);
  });

  it("stays closed when it is refused", async () => {
    server.answer = () => Response.json({ code: "not-signed-in", detail: "Sign in." }, { status: 401 });
    open();
    await pass(60_000);
    expect(told).toEqual(["refused: not-signed-in"]);
    expect(server.requests.length).toBe(1);
  });

  it("is silent once it is closed", async () => {
    open();
    await pass(0);
    stream.close();
    await pass(60_000);
    expect(told).toEqual(["open"]);
  });
});
