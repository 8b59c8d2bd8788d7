import { expect, test } from 'vitest';
import { asker, explain, happened, heals, lowest, merged, mood } from './words';

test('the user of this page stands before that of the host', () => {
  expect(asker({ uid: 990, via: 'http', user: 'left4med-web', on_behalf_of: 'alice' })).toBe('alice');
  expect(asker({ uid: 0, via: 'http', user: 'root' })).toBe('root (on the host)');
  expect(asker({ uid: 7, via: 'dbus' })).toBe('uid 7 (on the host)');
  expect(asker({ uid: 0, via: 'heal' })).toBe('healing');
  expect(asker(undefined)).toBe('');
});

test('the history is told in words', () => {
  const cases = [
    { kind: 'refusal', what: 'stop' },
    { kind: 'refusal' },
    { kind: 'job', what: 'start', to: 'queued', job: 17 },
    { kind: 'job', what: 'start', to: 'failed', job: 17 },
    { kind: 'change', what: 'change' },
    { kind: 'desired', to: 'running' },
    { kind: 'healing', to: 'gave-up' },
    { kind: 'state', from: 'running', to: 'failed' },
    { kind: 'drift', from: 'none', to: 'down' },
    { kind: 'later', from: 'a', to: 'b' },
  ];
  expect(cases.map(happened)).toEqual([
    'stop refused',
    'requests refused',
    'start asked for, job 17',
    'start failed, job 17',
    'change',
    'enabled',
    'healing gave up',
    'running → failed',
    'drift: none → down',
    'later: a → b',
  ]);
  expect(cases.map(mood)).toEqual(['bad', 'bad', '', 'bad', '', '', 'warn', 'bad', 'bad', '']);
});

test('each drift has a meaning, and start cures what it can', () => {
  const at = (drift: string) => explain({ name: 'a', unit: 'left4me-server@a.service', drift, state: 'failed' })?.cure;
  expect(['masked', 'missing', 'down', 'flapping', 'not-enabled', 'none'].map(at)).toEqual([null, null, 'start', null, 'start', undefined]);
});

test('healing is told', () => {
  expect(heals({ attempt: 2, limit: 5, gave_up: false }, 'in 40 s')).toBe('left4med starts it again in 40 s, attempt 2 of 5.');
  expect(heals({ attempt: 1, limit: 5, gave_up: true }, '')).toBe('Healing gave up after 1 start; the next start is yours.');
});

test('pages are put together', () => {
  expect(lowest([{ id: 5 }, { id: 3 }])).toBe(3);
  expect(lowest([])).toBe(null);
  expect(merged([{ id: 5, a: 1 }], [{ id: 5, a: 2 }, { id: 6, a: 3 }])).toEqual([
    { id: 6, a: 3 },
    { id: 5, a: 1 },
  ]);
});
