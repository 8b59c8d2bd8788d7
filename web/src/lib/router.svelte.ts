// Where the reader is: the address is the only place that says so.

export type PageName = "servers" | "server" | "host" | "users" | "account" | "setup" | "unknown";

interface Place {
  page: PageName;
  /** The server's name, of page "server". */
  name: string;
  /** What follows the page's own path: /servers/NAME/settings is "settings". */
  tab: string;
}

/** What a path leads to. */
export function match(path: string): Place {
  const parts = path.split("/").filter(Boolean);
  const [first, second, third] = parts.map((p) => {
    try {
      return decodeURIComponent(p);
    } catch {
      return p;
    }
  });
  const place = (page: PageName, name = "", tab = ""): Place => ({ page, name, tab });
  if (first === undefined) return place("servers");
  if (first === "servers" && parts.length <= 3) return second ? place("server", second, third ?? "") : place("servers");
  if ((first === "host" || first === "users" || first === "account") && parts.length <= 2)
    return place(first, "", second ?? "");
  if (first === "setup" && parts.length === 1) return place("setup");
  return place("unknown");
}

class Route {
  #path = $state(location.pathname);
  #search = $state(location.search);
  #place = $derived(match(this.#path));

  get path(): string {
    return this.#path;
  }
  get page(): PageName {
    return this.#place.page;
  }
  get name(): string {
    return this.#place.name;
  }
  get tab(): string {
    return this.#place.tab;
  }
  /** The query of the address. */
  get query(): URLSearchParams {
    return new URLSearchParams(this.#search);
  }

  /** Reads the address again. */
  update(): void {
    this.#path = location.pathname;
    this.#search = location.search;
  }
}

export const route = new Route();

/** The address of a page: href("server", "a", "settings") is /servers/a/settings. */
export function href(page: "servers" | "host" | "users" | "account" | "server", ...rest: string[]): string {
  const first = page === "servers" ? (rest.length ? ["servers"] : []) : [page === "server" ? "servers" : page];
  return "/" + [...first, ...rest.filter(Boolean).map(encodeURIComponent)].join("/");
}

/** Goes to an address of this page. */
export function go(to: string, o: { replace?: boolean; keepScroll?: boolean } = {}): void {
  if (o.replace) history.replaceState(null, "", to);
  else history.pushState(null, "", to);
  route.update();
  if (!o.replace && !o.keepScroll) window.scrollTo(0, 0);
}

/** Has the browser's own buttons and all plain links go through the router; returns how to stop. */
export function listen(): () => void {
  const back = () => route.update();
  const click = (event: MouseEvent) => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element | null)?.closest?.("a");
    if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (link.hash && link.pathname === location.pathname) return;
    event.preventDefault();
    go(link.pathname + link.search + link.hash);
  };
  window.addEventListener("popstate", back);
  document.addEventListener("click", click);
  return () => {
    window.removeEventListener("popstate", back);
    document.removeEventListener("click", click);
  };
}
