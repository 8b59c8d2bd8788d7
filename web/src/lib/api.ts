// Requests to left4med-web. What fails is always a Problem.
import type { FieldError } from "./types";

export type Query = Record<string, string | number | boolean | undefined>;

/** Why a request failed, as the server says (RFC 9457), or why it got no answer. */
export class Problem extends Error {
  override name = "Problem";

  constructor(
    /** HTTP's status; 0 when there was no answer. */
    readonly status: number,
    /** Stable, for programs; "unreachable" when there was no answer. */
    readonly code: string,
    /** What could not be done, and what to do about it. */
    readonly detail: string,
    readonly errors: FieldError[] = [],
    /** How many seconds to wait before the next attempt. */
    readonly retryAfter?: number,
    /** The job in the way. */
    readonly job?: number,
    /** Nobody can sign in yet: there is no user. */
    readonly setup = false,
  ) {
    super(detail);
  }

  /** What is wrong with a field: "port" also finds "config.port" and "body.config.port". */
  field(name: string): string | undefined {
    return this.errors.find((e) => e.field === name || e.field.endsWith("." + name))?.detail;
  }
}

/** What an unknown thing that was thrown means to a person. */
export function problemOf(thrown: unknown): Problem {
  if (thrown instanceof Problem) return thrown;
  return new Problem(0, "internal", thrown instanceof Error ? thrown.message : String(thrown));
}

/** What the API asks of the session: its token, and a way to get another. */
export interface Keeper {
  csrf(): string;
  /** The session ended: resolves true when the same user signed in again. */
  signInAgain(): Promise<boolean>;
  /** The token was refused: resolves true when a newer one of the same user was fetched. */
  renew(): Promise<boolean>;
}

let keeper: Keeper | undefined;

/** Tells the API who keeps the session; called once, at the start. */
export function keepSession(k: Keeper): void {
  keeper = k;
}

async function problemFrom(response: Response): Promise<Problem> {
  let body: Record<string, unknown> = {};
  try {
    body = (await response.json()) as Record<string, unknown>;
  } catch {
    // A proxy's page, or nothing: the status is all there is to tell.
  }
  const text = (key: string) => (typeof body[key] === "string" ? (body[key] as string) : "");
  const seconds = Number(response.headers.get("Retry-After") ?? NaN);
  return new Problem(
    response.status,
    text("code") || `http-${response.status}`,
    text("detail") || text("title") || `The server answered ${response.status} ${response.statusText}`.trim() + ".",
    Array.isArray(body.errors) ? (body.errors as FieldError[]) : [],
    Number.isFinite(seconds) ? seconds : undefined,
    typeof body.job === "number" ? body.job : undefined,
    body.setup === true,
  );
}

export interface RequestOptions {
  query?: Query;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** A request of the session itself: what it is refused is the caller's to answer. */
  raw?: boolean;
}

function address(path: string, query: Query = {}): string {
  const values = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined) values.set(key, String(value));
  }
  const search = values.toString();
  return search ? `${path}?${search}` : path;
}

async function attempt(method: string, path: string, o: RequestOptions): Promise<Response> {
  const headers: Record<string, string> = { Accept: "application/json", ...o.headers };
  if (method !== "GET") headers["X-CSRF-Token"] = keeper?.csrf() ?? "";
  if (o.body !== undefined) headers["Content-Type"] = "application/json";
  try {
    return await fetch(address(path, o.query), {
      method,
      headers,
      credentials: "same-origin",
      body: o.body === undefined ? undefined : JSON.stringify(o.body),
      signal: o.signal,
    });
  } catch (thrown) {
    if (o.signal?.aborted) throw thrown;
    throw new Problem(
      0,
      "unreachable",
      method === "GET"
        ? "left4med-web does not answer. Check the network, then try again."
        : "left4med-web did not answer. It may have done it or not: look before you try again.",
    );
  }
}

/**
 * The answer to a request, whatever its kind. A session that ended is signed in again
 * over the page, and the request sent once more.
 */
export async function request(method: string, path: string, o: RequestOptions = {}): Promise<Response> {
  for (let again = false; ; again = true) {
    const response = await attempt(method, path, o);
    if (response.ok) return response;
    const problem = await problemFrom(response);
    if (again || o.raw || !keeper) throw problem;
    if (problem.code === "not-signed-in" && (await keeper.signInAgain())) continue;
    if (problem.code === "cross-site" && (await keeper.renew())) continue;
    throw problem;
  }
}

async function json<T>(method: string, path: string, o: RequestOptions): Promise<T> {
  const response = await request(method, path, o);
  const text = await response.text();
  if (!text) return undefined as T;
  try {
    return JSON.parse(text) as T;
  } catch {
    throw new Problem(
      response.status,
      "bad-answer",
      `The answer to ${method} ${path} cannot be read. Reload the page.`,
    );
  }
}

/** Every call resolves to the parsed answer, or throws a Problem. */
export const api = {
  get: <T>(path: string, query?: Query, o: RequestOptions = {}) => json<T>("GET", path, { ...o, query }),
  post: <T>(path: string, body?: unknown, query?: Query, o: RequestOptions = {}) =>
    json<T>("POST", path, { ...o, body, query }),
  put: <T>(path: string, body?: unknown, o: RequestOptions = {}) => json<T>("PUT", path, { ...o, body }),
  patch: <T>(path: string, body?: unknown, o: RequestOptions = {}) => json<T>("PATCH", path, { ...o, body }),
  del: <T>(path: string, query?: Query, o: RequestOptions = {}) => json<T>("DELETE", path, { ...o, query }),
};

/** The path of a server's route: serverPath("a", "start") is /api/v1/servers/a/start. */
export function serverPath(name: string, ...rest: (string | number)[]): string {
  return ["/api/v1/servers", name, ...rest].map((p, i) => (i ? encodeURIComponent(p) : p)).join("/");
}
