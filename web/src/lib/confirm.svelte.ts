// "Are you sure", asked in one dialog that App.svelte shows.

export interface Question {
  title: string;
  text: string;
  /** The button's words: "Stop 3 servers". */
  action: string;
  danger?: boolean;
  /** The words of a second button, for a milder way: "When nobody plays". */
  other?: string;
  /** What has to be typed first, such as a server's name. */
  typed?: string;
}

export type Answer = "yes" | "other" | "no";

class Confirm {
  question = $state.raw<Question | null>(null);
  #answer: ((answer: Answer) => void) | undefined;

  /** Asks; resolves to whether the user wants it. */
  async ask(question: Question): Promise<boolean> {
    return (await this.choose(question)) === "yes";
  }

  /** Asks; resolves to the button that was pressed. */
  choose(question: Question): Promise<Answer> {
    this.answer("no");
    this.question = question;
    return new Promise((resolve) => (this.#answer = resolve));
  }

  answer(answer: Answer): void {
    this.question = null;
    this.#answer?.(answer);
    this.#answer = undefined;
  }
}

export const confirm = new Confirm();
