// A long list, newest first, that is read page by page and grows at its top.
import { untrack } from "svelte";
import { type Problem, problemOf } from "../../lib/api";
import { Reading } from "../../lib/reading.svelte";
import { merge, refreshed } from "./history";

/** So many are read at once. */
export const PAGE = 50;

export class Pages<T extends { id: number }> {
  list = $state.raw<T[]>([]);
  /** Whether there are older ones. */
  more = $state(false);
  loading = $state(false);
  /** Why older ones could not be read. */
  problem = $state.raw<Problem | null>(null);
  /** The newest page. */
  readonly top: Reading<T[]>;

  readonly #read: (before: number | undefined) => Promise<T[]>;
  /** Which filter the pages are of: an answer to a former one is dropped. */
  #era = 0;

  constructor(read: (before: number | undefined) => Promise<T[]>) {
    this.#read = read;
    this.top = new Reading(() => this.#newest());
  }

  /** Begins anew, as with another filter. */
  restart(): void {
    untrack(() => {
      this.#era++;
      this.list = [];
      this.more = false;
      this.problem = null;
      this.top.data = null;
      void this.top.refresh();
    });
  }

  async #newest(): Promise<T[]> {
    const era = this.#era;
    const fresh = await this.#read(undefined);
    if (era !== this.#era) return fresh; // refresh reads once more
    const first = this.list.length === 0;
    const { list, gap } = refreshed(fresh, this.list, PAGE);
    this.list = list;
    if (first || gap) this.more = fresh.length >= PAGE;
    return fresh;
  }

  /** Reads the next older page. */
  async older(): Promise<void> {
    const before = this.list.at(-1)?.id;
    if (this.loading || before === undefined) return;
    const era = this.#era;
    this.loading = true;
    try {
      const page = await this.#read(before);
      if (era !== this.#era) return;
      this.list = merge(this.list, page);
      this.more = page.length >= PAGE;
      this.problem = null;
    } catch (thrown) {
      if (era === this.#era) this.problem = problemOf(thrown);
    } finally {
      this.loading = false;
    }
  }
}
