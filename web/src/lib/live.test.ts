import { describe, expect, it, vi } from "vitest";
import { job, server } from "../../test/make";
import { Live } from "./live.svelte";
import type { StreamOptions } from "./stream";
import type { State } from "./types";

function picture(o: Partial<State> = {}): State {
  const at = new Date().toISOString();
  return { event_id: "10", at, link: { up: true, since: at }, servers: [], samples: {}, ...o };
}

/** A Live with a server that the test plays. */
function played(...states: State[]) {
  const streams: (StreamOptions & { closed?: boolean })[] = [];
  const recheck = vi.fn();
  const live = new Live({
    state: () => (states.length ? Promise.resolve(states.shift()!) : new Promise(() => {})),
    open: (o) => {
      const stream: (typeof streams)[number] = { ...o };
      streams.push(stream);
      return { close: () => void (stream.closed = true), retryNow: () => {} };
    },
    recheck,
  });
  const send = (event: string, data: unknown) => streams.at(-1)!.onMessage({ event, data: JSON.stringify(data) });
  return { live, streams, send, recheck };
}

const settle = () => new Promise((resolve) => setTimeout(resolve));

describe("live", () => {
  it("merges events by name and id", async () => {
    const { live, send } = played(picture({ servers: [server({ id: 1 }), server({ id: 2, name: "b" })] }));
    live.start();
    await settle();
    send("server", server({ id: 2, name: "b", state: "failed", drift: "down" }));
    send("server", server({ id: 9, name: "a", state: "stopped" })); // a later server of the old name
    send("deleted", { id: 1, name: "a" }); // late word of the first
    send("server", server({ id: 1, name: "a" })); // and later still
    expect([...live.servers.values()].map((s) => [s.id, s.name, s.state])).toEqual([
      [9, "a", "stopped"],
      [2, "b", "failed"],
    ]);
    send("deleted", { id: 9, name: "a" });
    expect([...live.servers.keys()]).toEqual(["b"]);
  });

  it("reads the picture anew on reset", async () => {
    const { live, streams, send } = played(
      picture({ servers: [server(), server({ id: 2, name: "b" })] }),
      picture({ event_id: "50", servers: [server({ id: 2, name: "b", state: "stopped" })] }),
    );
    live.start();
    await settle();
    const told = vi.fn();
    live.onReset.add(told);
    send("reset", {});
    await settle();
    expect([...live.servers.values()].map((s) => [s.name, s.state])).toEqual([["b", "stopped"]]);
    expect(streams.map((s) => [s.after, s.closed])).toEqual([
      ["10", true],
      ["50", undefined],
    ]);
    expect(told).toHaveBeenCalledTimes(1);
  });

  it("knows how certain it is", async () => {
    const { live, streams, send } = played(picture());
    live.start();
    await settle();
    expect([live.ready, live.connected, live.broken]).toEqual([true, false, false]);
    streams[0]!.onOpen!();
    expect(live.certain).toBe(true);
    send("link", { up: false, since: "2026-01-01T00:00:00Z", detail: "gone" });
    const before = live.asOf;
    streams[0]!.onLife!(); // left4med-web lives, but has no news
    expect([live.certain, live.connected, live.asOf]).toEqual([false, true, before]);
    streams[0]!.onLost!("The connection broke.");
    expect([live.connected, live.broken, live.lostWhy]).toEqual([false, true, "The connection broke."]);
  });

  it("never goes back in a job", async () => {
    const { live, send } = played(picture());
    live.start();
    await settle();
    const heard: string[] = [];
    live.onJob.add((j) => heard.push(j.state));
    send("job", job({ state: "succeeded" }));
    live.noteJob(job({ state: "queued" })); // the answer to the request that made it, late
    expect(live.jobs.get(1)?.state).toBe("succeeded");
    expect(heard).toEqual(["succeeded"]);
    expect(live.job(server({ job: job({ state: "running" }) }))).toBe(null);
  });

  it("keeps samples by id and forgets the oldest", async () => {
    const { live, send } = played(picture({ servers: [server()], samples: { "1": [[1, 100, 5]] } }));
    live.start();
    await settle();
    for (let i = 0; i < 200; i++) send("samples", { at: 10 + i, servers: { "1": [i, null] } });
    expect(live.samples(1).length).toBe(120);
    expect(live.samples(1).at(-1)).toEqual([209, 199, null]);
    expect(live.samples(2)).toEqual([]);
  });

  it("asks again who is signed in when the session ended", async () => {
    const { live, send, recheck } = played(picture());
    live.start();
    await settle();
    send("session", { ended: true });
    expect(recheck).toHaveBeenCalledTimes(1);
  });
});
