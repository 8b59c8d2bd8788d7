// What is read now and then because no event holds it, such as the host's health.
import { untrack } from "svelte";
import { type Problem, problemOf } from "./api";
import { live } from "./live.svelte";
import { now } from "./time";
import type { Job } from "./types";

/** When a Reading reads again. After a break of the stream it always does. */
export interface Occasions {
  /** A job changed, for which it says true. */
  job?: (job: Job) => boolean;
  /** So much time has passed, in milliseconds, and somebody looks at the page. */
  every?: number;
}

/** Events come in swarms: so long they are gathered before one request is sent. */
const GATHER = 400;

export class Reading<T> {
  /** What was read last; it stays when a later attempt fails. */
  data = $state.raw<T | null>(null);
  /** Why the last attempt failed. */
  problem = $state.raw<Problem | null>(null);
  /** When data was read, in the server's milliseconds. */
  at = $state(0);
  busy = $state(false);

  readonly #load: () => Promise<T>;
  #again = false;
  #open: Promise<void> | undefined;
  #soon: ReturnType<typeof setTimeout> | undefined;

  constructor(load: () => Promise<T>) {
    this.#load = load;
  }

  /** Reads now. What is asked for meanwhile is one more reading after it. */
  refresh(): Promise<void> {
    if (this.#open) {
      this.#again = true;
      return this.#open;
    }
    this.#open = this.#read().finally(() => (this.#open = undefined));
    return this.#open;
  }

  /** Reads a moment from now, once for all who ask until then. */
  soon(): void {
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      void this.refresh();
    }, GATHER);
  }

  /** Reads at once and at each occasion, until the returned function is called: what an effect needs. */
  watch(on: Occasions = {}): () => void {
    const job = (j: Job) => {
      if (on.job?.(j)) this.soon();
    };
    const reset = () => this.soon();
    const old = on.every === undefined ? 5000 : on.every / 2;
    const seen = () => {
      if (document.visibilityState === "visible" && now() - this.at >= old) this.soon();
    };
    const timer = on.every ? setInterval(seen, on.every) : undefined;
    live.onJob.add(job);
    live.onReset.add(reset);
    document.addEventListener("visibilitychange", seen);
    untrack(() => void this.refresh());
    return () => {
      clearInterval(timer);
      clearTimeout(this.#soon);
      this.#soon = undefined;
      live.onJob.delete(job);
      live.onReset.delete(reset);
      document.removeEventListener("visibilitychange", seen);
    };
  }

  async #read(): Promise<void> {
    this.busy = true;
    try {
      do {
        this.#again = false;
        try {
          this.data = await this.#load();
          this.at = now();
          this.problem = null;
        } catch (thrown) {
          this.problem = problemOf(thrown);
        }
      } while (this.#again);
    } finally {
      this.busy = false;
    }
  }
}
