/** Requester is who asked, as the daemon tells it. */
export interface Requester {
  uid: number;
  via: string;
  user?: string;
  on_behalf_of?: string;
}

/** asker is who asked: a user of this page before the one of the host that asked for them. */
export function asker(r: Requester | undefined): string {
  if (!r) return '';
  if (r.via === 'heal') return 'healing';
  const host = r.user || `uid ${r.uid}`;
  return r.on_behalf_of ? r.on_behalf_of : `${host} (on the host)`;
}

/** Happening is an entry of the history, as far as words need it. */
export interface Happening {
  kind: string;
  what?: string;
  from?: string;
  to?: string;
  job?: number;
}

/** happened says in a few words what an entry of the history tells. */
export function happened(e: Happening): string {
  const words = told(e);
  return e.job ? `${words}, job ${e.job}` : words;
}

function told(e: Happening): string {
  const what = e.what ?? '';
  switch (e.kind) {
    case 'refusal':
      return what === '' ? 'requests refused' : `${what} refused`;
    case 'job':
      return e.to === 'queued' ? `${what} asked for` : `${what} ${e.to ?? ''}`;
    case 'change':
      return what;
    case 'desired':
      return e.to === 'running' ? 'enabled' : 'disabled';
    case 'healing':
      return e.to === 'gave-up' ? 'healing gave up' : `healing ${e.to ?? ''}`;
    case 'orphan':
      return e.to === 'found' ? 'orphan found' : 'orphan no more';
    case 'alert':
      return `alert ${e.to ?? ''}`;
    case 'state':
      return `${e.from ?? 'new'} → ${e.to ?? ''}`;
  }
  return `${e.kind}: ${e.from ?? 'new'} → ${e.to ?? ''}`;
}

/** mood is the class of an entry: what to look at first. */
export function mood(e: Happening): 'bad' | 'warn' | 'good' | '' {
  if (e.kind === 'refusal' || e.to === 'failed') return 'bad';
  if (e.kind === 'drift') return e.to === 'none' ? 'good' : 'bad';
  if (e.kind === 'healing') return 'warn';
  return e.to === 'succeeded' ? 'good' : '';
}

/** Drifting is a server as far as its drift needs it. */
export interface Drifting {
  name: string;
  unit: string;
  drift: string;
  state: string;
}

/** Explained is what a drift means, and the one thing that cures it. */
export interface Explained {
  means: string;
  /** The act that cures it, where this page has one. */
  cure: 'start' | null;
  /** What else may be wanted, or what to do where only a person on the host can. */
  or: string;
}

/** explain says what a drift means. It is null without one. */
export function explain(s: Drifting): Explained | null {
  switch (s.drift) {
    case 'masked':
      return { means: 'Its unit is masked, so systemd will never start it.', cure: null, or: `On the host: systemctl unmask ${s.unit}` };
    case 'missing':
      return {
        means: 'Its files or the unit template are gone.',
        cure: null,
        or: `On the host: l4d2ctl initialize ${s.name} writes its files anew; l4d2ctl doctor says whether the template is gone.`,
      };
    case 'down':
      return { means: `It should run, but it is ${s.state}. The console may say why.`, cure: 'start', or: 'Stop it, if it should stay down.' };
    case 'flapping':
      return {
        means: 'It crashes again and again, and systemd starts it each time. The console may say why.',
        cure: null,
        or: 'Restart it once that is mended.',
      };
    case 'not-enabled':
      return { means: 'It runs, but will be gone after a reboot.', cure: 'start', or: 'Stop it, if it should not run.' };
  }
  return null;
}

/** Healing is what left4med does about a server that is down. */
export interface Healing {
  attempt: number;
  limit: number;
  gave_up: boolean;
  next_at?: string;
}

/** heals says what left4med does about it, when being a time of the kind "in 40 s". */
export function heals(h: Healing, when: string): string {
  if (h.gave_up) return `Healing gave up after ${h.attempt === 1 ? '1 start' : `${h.attempt} starts`}; the next start is yours.`;
  return `left4med starts it again ${when}, attempt ${h.attempt} of ${h.limit}.`;
}

/** lowest is where the next page of a list begins: the lowest id there is, or null when there is none. */
export function lowest(list: { id: number }[]): number | null {
  return list.reduce<number | null>((low, e) => (low === null || e.id < low ? e.id : low), null);
}

/** merged puts newer and older entries together, each id once, newest first; what comes first in the arguments wins. */
export function merged<T extends { id: number }>(...lists: T[][]): T[] {
  const all = new Map<number, T>();
  for (const list of lists) for (const e of list) if (!all.has(e.id)) all.set(e.id, e);
  return [...all.values()].sort((a, b) => b.id - a.id);
}
