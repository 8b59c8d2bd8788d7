// "Are you sure", asked in one dialog that App.svelte shows.

export interface Question {
  title: string;
  text: string;
  /** The button's words: "Stop 3 servers". */
  action: string;
  danger?: boolean;
  /** What has to be typed first, such as a server's name. */
  typed?: string;
}

class Confirm {
  question = $state.raw<Question | null>(null);
  #answer: ((yes: boolean) => void) | undefined;

  /** Asks; resolves to whether the user wants it. */
  ask(question: Question): Promise<boolean> {
    this.answer(false);
    this.question = question;
    return new Promise((resolve) => (this.#answer = resolve));
  }

  answer(yes: boolean): void {
    this.question = null;
    this.#answer?.(yes);
    this.#answer = undefined;
  }
}

export const confirm = new Confirm();
