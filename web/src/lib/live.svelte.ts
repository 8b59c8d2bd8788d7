// The live picture: all servers, as the events tell it, and how certain it is.
import { SvelteMap } from "svelte/reactivity";
import { type Problem, problemOf, request } from "./api";
import { session } from "./session.svelte";
import { openStream, type Message, type Stream, type StreamOptions } from "./stream";
import { now, setClock } from "./time";
import type { Deleted, Job, Link, Sample, Server, State } from "./types";

/** So many samples of a server are kept: twenty minutes of watching. */
const SAMPLES = 120;
/** So many jobs that ended are kept. */
const ENDED = 300;

/** Whether a job has ended. */
export function ended(job: Job): boolean {
  return job.state === "succeeded" || job.state === "failed" || job.state === "canceled";
}

function progressed(job: Job): number {
  return ended(job) ? 2 : job.state === "running" ? 1 : 0;
}

interface Parts {
  state(signal: AbortSignal): Promise<State>;
  open(o: StreamOptions): Stream;
  /** The session may have ended. */
  recheck(): void;
}

const REAL: Parts = {
  state: async (signal) => {
    const response = await request("GET", "/api/state", { signal });
    // The picture's own time is when it last changed, which may be long ago.
    setClock(response.headers.get("Date") ?? NaN);
    return (await response.json()) as State;
  },
  open: openStream,
  recheck: () => void session.load(),
};

export class Live {
  /** All servers, by name. */
  readonly servers = new SvelteMap<string, Server>();
  /** Jobs that events told of, by id. */
  readonly jobs = new SvelteMap<number, Job>();
  /** Whether left4med-web hears the daemon. */
  link = $state.raw<Link>({ up: true, since: "" });
  /** Whether this page hears left4med-web. */
  connected = $state(false);
  /** Whether it heard it before, or was refused: not when it was only just opened. */
  broken = $state(false);
  /** Since when it does not, in the server's milliseconds. */
  lostAt = $state(now());
  /** Why it does not. */
  lostWhy = $state("");
  /** Whether the whole picture was read once. */
  ready = $state(false);
  /** Why the picture cannot be read. */
  trouble = $state.raw<Problem | null>(null);

  /** Told of each job as it changes, and of a picture that was read anew. */
  readonly onJob = new Set<(job: Job) => void>();
  readonly onReset = new Set<() => void>();

  #asOf = $state(0);
  readonly #samples = new SvelteMap<number, Sample[]>();
  readonly #parts: Parts;
  #stream: Stream | undefined;
  #abort: AbortController | undefined;

  constructor(parts: Parts = REAL) {
    this.#parts = parts;
  }

  /** When what is shown was last known to be true; null before the first word. */
  get asOf(): Date | null {
    return this.#asOf ? new Date(this.#asOf) : null;
  }

  /** Whether what is shown is what is. */
  get certain(): boolean {
    return this.connected && this.link.up;
  }

  /** What a server took of the host, oldest first. */
  samples(id: number): Sample[] {
    return this.#samples.get(id) ?? [];
  }

  /** The job that is queued or running for a server, as the newest word of it says. */
  job(server: Server): Job | null {
    if (!server.job) return null;
    const job = this.jobs.get(server.job.id) ?? server.job;
    return ended(job) ? null : job;
  }

  /** Reads the picture and follows it, until stop. */
  start(): void {
    this.stop();
    void this.#read();
  }

  stop(): void {
    this.#abort?.abort();
    this.#stream?.close();
    this.#stream = undefined;
    if (this.connected) this.lostAt = now();
    this.connected = false;
  }

  /** Tries again at once, where it waits to. */
  retryNow(): void {
    this.#stream?.retryNow();
  }

  /** Forgets everything: another user is to see nothing of it. */
  forget(): void {
    this.stop();
    this.servers.clear();
    this.jobs.clear();
    this.#samples.clear();
    this.ready = false;
    this.#asOf = 0;
  }

  async #read(): Promise<void> {
    const abort = (this.#abort = new AbortController());
    for (let wait = 500; ; wait = Math.min(wait * 2, 5000)) {
      try {
        const state = await this.#parts.state(abort.signal);
        if (abort.signal.aborted) return;
        this.take(state);
        break;
      } catch (thrown) {
        if (abort.signal.aborted) return;
        this.trouble = problemOf(thrown);
        this.#lose(this.trouble.detail);
        if (this.trouble.code === "not-signed-in") return;
      }
      await new Promise((resolve) => setTimeout(resolve, wait));
      if (abort.signal.aborted) return;
    }
  }

  /** Makes a picture the one that is shown, and follows it from there. */
  take(state: State): void {
    const names = new Set<string>();
    for (const server of state.servers ?? []) {
      names.add(server.name);
      this.#put(server);
    }
    for (const name of [...this.servers.keys()]) if (!names.has(name)) this.servers.delete(name);
    this.#samples.clear();
    for (const [id, samples] of Object.entries(state.samples ?? {}))
      this.#samples.set(Number(id), samples.slice(-SAMPLES));
    this.#setLink(state.link);
    this.trouble = null;
    this.ready = true;
    this.#follow(state.event_id);
    for (const tell of this.onReset) tell();
  }

  #follow(after: string): void {
    this.#stream?.close();
    const stream = this.#parts.open({
      url: `/api/events?after=${encodeURIComponent(after)}`,
      after: after || undefined,
      onOpen: () => {
        this.connected = true;
        this.broken = false;
        this.lostWhy = "";
      },
      onLife: () => {
        if (this.link.up) this.#asOf = now();
      },
      onMessage: (message) => this.apply(message),
      onLost: (why) => this.#lose(why),
      onRefused: (problem) => {
        this.#lose(problem.detail);
        this.#parts.recheck();
      },
    });
    this.#stream = stream;
  }

  #lose(why: string): void {
    if (this.connected) this.lostAt = now();
    this.connected = false;
    this.broken = true;
    this.lostWhy = why;
  }

  /** Takes in one event. */
  apply(message: Message): void {
    let data: unknown;
    try {
      data = JSON.parse(message.data);
    } catch {
      return; // not ours: a later version's, perhaps
    }
    switch (message.event) {
      case "server":
        return this.#put(data as Server);
      case "job":
        return this.noteJob(data as Job);
      case "deleted":
        return this.#remove(data as Deleted);
      case "samples":
        return this.#sample(data as { at: number; servers: Record<string, [number | null, number | null]> });
      case "link":
        return this.#setLink(data as Link);
      case "reset":
        this.#stream?.close();
        void this.#read();
        return;
      case "session":
        this.#parts.recheck();
        return;
    }
  }

  /** Takes in a job that an answer held; what an event said later stays. */
  noteJob(job: Job): void {
    const known = this.jobs.get(job.id);
    if (known && progressed(known) > progressed(job)) return;
    this.jobs.set(job.id, job);
    if (ended(job) && this.jobs.size > ENDED * 1.5) this.#prune();
    for (const tell of this.onJob) tell(job);
  }

  #prune(): void {
    const old = [...this.jobs.values()].filter(ended).sort((a, b) => a.id - b.id);
    for (const job of old.slice(0, Math.max(0, old.length - ENDED))) this.jobs.delete(job.id);
  }

  #put(server: Server): void {
    const known = this.servers.get(server.name);
    if (known && known.id > server.id) return; // late word of one that is gone
    this.servers.set(server.name, server);
    if (server.job) this.noteJob(server.job);
  }

  #remove(gone: Deleted): void {
    if (this.servers.get(gone.name)?.id === gone.id) this.servers.delete(gone.name);
    this.#samples.delete(gone.id);
  }

  #sample(event: { at: number; servers: Record<string, [number | null, number | null]> }): void {
    for (const [id, [memory, cpu]] of Object.entries(event.servers)) {
      const before = this.#samples.get(Number(id)) ?? [];
      this.#samples.set(Number(id), [...before.slice(1 - SAMPLES), [event.at, memory, cpu]]);
    }
  }

  #setLink(link: Link): void {
    if (link.up) this.#asOf = now();
    this.link = link;
  }
}

export const live = new Live();
