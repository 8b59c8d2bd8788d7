// How the reader looks at the list, kept while another page is open.
import { SvelteSet } from "svelte/reactivity";
import { range, type Order, type StateFilter } from "./list";

class View {
  text = $state("");
  state = $state<StateFilter>("");
  order = $state.raw<Order>({ key: "name", down: false });
  readonly selected = new SvelteSet<string>();
  #anchor: string | undefined;

  /** Marks a server or takes the mark away; with Shift all from the last one that was marked. */
  mark(shown: string[], name: string, on: boolean, through: boolean): void {
    for (const n of through ? range(shown, this.#anchor, name) : [name]) this.#set(n, on);
    this.#anchor = name;
  }

  /** Marks all of these, or none. */
  markAll(shown: string[], on: boolean): void {
    for (const n of shown) this.#set(n, on);
  }

  clear(): void {
    this.selected.clear();
    this.#anchor = undefined;
  }

  #set(name: string, on: boolean): void {
    if (on) this.selected.add(name);
    else this.selected.delete(name);
  }
}

export { View };
export const view = new View();
