// The jobs that this page asked for, until they ended.
import { api, problemOf } from "./api";
import { ended, live } from "./live.svelte";
import type { Job, Jobs as JobList } from "./types";

/** What was asked for at once: one job, or one for each of many servers. */
export interface Deed {
  id: number;
  title: string;
  jobs: Job[];
}

/** So long what succeeded stays to be seen. */
const STAYS = 8000;

class Jobs {
  /** What was asked for and is running, just ended, or failed and was not dismissed; oldest first. */
  deeds = $state.raw<Deed[]>([]);
  #next = 1;
  #waiting = new Map<number, (() => void)[]>();

  constructor() {
    live.onJob.add((job) => this.#heard(job));
    live.onReset.add(() => void this.#reread());
  }

  /** All jobs that run or wait, whoever asked for them. */
  get running(): Job[] {
    return [...live.jobs.values()].filter((job) => !ended(job));
  }

  /** Shows a job in the tray; resolves to it when it has ended. */
  async follow(job: Job, title?: string): Promise<Job> {
    const [last] = await this.followAll([job], title ?? "");
    return last!;
  }

  /** Shows jobs as one in the tray; resolves to them when all have ended. */
  async followAll(list: Job[], title: string): Promise<Job[]> {
    const deed: Deed = { id: this.#next++, title, jobs: list.map((job) => live.jobs.get(job.id) ?? job) };
    this.deeds = [...this.deeds, deed];
    for (const job of list) live.noteJob(job);
    await Promise.all(list.map((job) => this.#end(job)));
    const last = list.map((job) => live.jobs.get(job.id) ?? job);
    if (last.every((job) => job.state === "succeeded")) setTimeout(() => this.dismiss(deed.id), STAYS);
    return last;
  }

  /** Takes a deed out of the tray; its jobs go on. */
  dismiss(id: number): void {
    this.deeds = this.deeds.filter((d) => d.id !== id);
  }

  #end(job: Job): Promise<void> {
    if (ended(live.jobs.get(job.id) ?? job)) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.set(job.id, [...(this.#waiting.get(job.id) ?? []), resolve]);
    });
  }

  #heard(job: Job): void {
    if (this.deeds.some((d) => d.jobs.some((j) => j.id === job.id))) {
      this.deeds = this.deeds.map((d) =>
        d.jobs.some((j) => j.id === job.id) ? { ...d, jobs: d.jobs.map((j) => (j.id === job.id ? job : j)) } : d,
      );
    }
    if (!ended(job)) return;
    for (const resolve of this.#waiting.get(job.id) ?? []) resolve();
    this.#waiting.delete(job.id);
  }

  /** How a job stands. One that nobody knows any more is not waited for. */
  async #ask(id: number): Promise<Job> {
    try {
      return await api.get<Job>(`/api/v1/jobs/${id}`);
    } catch (thrown) {
      const problem = problemOf(thrown);
      const known = live.jobs.get(id);
      if (problem.status !== 404 || !known) throw problem;
      return {
        ...known,
        state: "failed",
        error: { code: problem.code, detail: "left4med does not know this job any more; look at the server." },
      };
    }
  }

  /** Events may have been missed: asks how the jobs that are waited for stand. */
  async #reread(): Promise<void> {
    if (!this.#waiting.size) return;
    try {
      const { jobs } = await api.get<JobList>("/api/v1/jobs", { limit: 200 });
      const told = new Set(jobs.map((job) => job.id));
      for (const job of jobs) if (this.#waiting.has(job.id)) live.noteJob(job);
      for (const id of [...this.#waiting.keys()]) {
        if (!told.has(id)) live.noteJob(await this.#ask(id));
      }
    } catch (thrown) {
      // The stream broke again, or will: the next picture asks again.
      console.warn("cannot read how jobs stand:", problemOf(thrown).detail);
    }
  }
}

export const jobs = new Jobs();
