// Short words over the page. Errors stay until they are dismissed.
import { type Problem, problemOf } from "./api";

export interface Toast {
  id: number;
  kind: "done" | "error";
  text: string;
  /** Further lines, as the refusals of many servers. */
  lines: string[];
}

const STAYS = 6000;

class Toasts {
  list = $state.raw<Toast[]>([]);
  #next = 1;

  /** Something was done. */
  done(text: string): void {
    const id = this.#add("done", text, []);
    setTimeout(() => this.dismiss(id), STAYS);
  }

  /** Something could not be done: "cannot start a: why". */
  error(text: string, lines: string[] = []): void {
    // The same said twice is no news.
    if (!this.list.some((t) => t.text === text && t.lines.join() === lines.join())) this.#add("error", text, lines);
  }

  /** A request failed. What was to be done: "Start a". */
  failed(what: string, thrown: unknown): Problem {
    const problem = problemOf(thrown);
    this.error(
      `${what}: ${problem.detail}`,
      problem.errors.map((e) => `${e.field}: ${e.detail}`),
    );
    return problem;
  }

  dismiss(id: number): void {
    this.list = this.list.filter((t) => t.id !== id);
  }

  #add(kind: Toast["kind"], text: string, lines: string[]): number {
    const id = this.#next++;
    this.list = [...this.list, { id, kind, text, lines }];
    return id;
  }
}

export const toasts = new Toasts();
