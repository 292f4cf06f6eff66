import { changeState, decodeState, DEFAULT_STATE, encodeState, type ExploreState } from './explore_state';
import { millis, rawRange, stepFor, timeRange } from './time';

const FULL: ExploreState = {
  service: 'checkout & co',
  type: 'process_cpu:cpu:nanoseconds:cpu:nanoseconds',
  selector: '{pod=~"a|b"}',
  from: '1700000000000',
  until: '1700003600000',
  refresh: '30s',
  search: '/(x|y)/',
  focus: '1a2b',
  view: 'table',
};

it('survives a round trip', () => {
  expect(decodeState(encodeState(FULL))).toEqual(FULL);
  expect(decodeState(encodeState(DEFAULT_STATE))).toEqual(DEFAULT_STATE);
});

it('writes the range always and other defaults never', () => {
  expect(encodeState(DEFAULT_STATE)).toBe('from=now-1h&until=now');
});

it.each([
  ['from=yesterday&until=now', { from: 'now-1h', until: 'now' }],
  ['from=now-6h', { from: 'now-1h', until: 'now' }],
  ['from=now-6h&to=now', { from: 'now-6h', until: 'now' }],
  ['from=now-1d/d&until=now-1d/d', { from: 'now-1d/d', until: 'now-1d/d' }],
  ['view=pie&refresh=often&focus=<x>', { view: 'both', refresh: '', focus: '' }],
])('%s reads as %j', (query, expected) => {
  expect(decodeState(query)).toMatchObject(expected);
});

it('keeps parameters of others', () => {
  expect(encodeState({ ...DEFAULT_STATE, service: 'a' }, '?orgId=1&service=b&to=now')).toBe(
    'orgId=1&service=a&from=now-1h&until=now'
  );
});

it('drops what a change makes meaningless', () => {
  expect(changeState(FULL, { service: 'b' })).toMatchObject({ service: 'b', type: '', focus: '', search: FULL.search });
  expect(changeState(FULL, { type: 'a:b:c:d:e' })).toMatchObject({ service: FULL.service, focus: '' });
  expect(changeState(FULL, { from: 'now-5m', until: 'now' })).toMatchObject({ focus: FULL.focus });
});

describe('time', () => {
  it('resolves absolute and relative ends, and gives the raw ones back', () => {
    const absolute = timeRange('1700000000000', '1700003600000');
    expect(millis(absolute)).toEqual({ from: 1_700_000_000_000, until: 1_700_003_600_000 });
    expect(rawRange(absolute)).toEqual({ from: '1700000000000', until: '1700003600000' });
    const relative = timeRange('now-1h', 'now');
    // The clock may move on between the two ends.
    expect(millis(relative).until - millis(relative).from - 3_600_000).toBeLessThan(1000);
    expect(rawRange(relative)).toEqual({ from: 'now-1h', until: 'now' });
  });

  it.each([
    [3600, 30],
    [300, 15],
    [86_400, 600],
    [30 * 86_400, 21_600],
  ])('steps through %i s by %i s', (seconds, step) => {
    expect(stepFor({ from: 0, until: seconds * 1000 })).toBe(step);
  });
});
