import { barsPath, pointAt, position, timeTicks, valueAt } from './chart';
import { defaultProfileType, parseProfileType, profileTypeLabel, sortProfileTypes, unitOf } from './profile_type';
import { formatShare, formatValue } from './units';
import { urlProblem } from './url';

describe('units', () => {
  it.each([
    [0, 'nanoseconds', '0 ns'],
    [1, 'nanoseconds', '1 ns'],
    [1_500, 'nanoseconds', '1.5 µs'],
    [12_345_678, 'nanoseconds', '12.3 ms'],
    [999_999_999, 'nanoseconds', '1 s'],
    [90e9, 'ns', '1.5 min'],
    [3.6e12 * 30, 'nanoseconds', '1.25 days'],
    [20, 'milliseconds', '20 ms'],
    [1536, 'bytes', '1.5 KiB'],
    [5 * 2 ** 30, 'bytes', '5 GiB'],
    [950, 'count', '950'],
    [12_300, 'objects', '12.3 k'],
    [999_999, 'samples', '1 M'],
    [-2048, 'bytes', '-2 KiB'],
  ])('%d %s is %s', (value, unit, expected) => {
    expect(formatValue(value, unit)).toBe(expected);
  });

  it.each([
    [1, 3, '33.3 %'],
    [1, 100_000, '< 0.01 %'],
    [1, 1000, '0.1 %'],
    [5, 5, '100 %'],
    [0, 5, '0 %'],
    [5, 0, '0 %'],
  ])('%d of %d is %s', (value, total, expected) => {
    expect(formatShare(value, total)).toBe(expected);
  });
});

describe('profile types', () => {
  const cpu = 'process_cpu:cpu:nanoseconds:cpu:nanoseconds';
  const space = 'memory:inuse_space:bytes:space:bytes';
  const odd = 'a:b:count::';

  it('parses an ID and refuses what is none', () => {
    expect(parseProfileType(cpu)).toMatchObject({ name: 'process_cpu', sampleType: 'cpu', sampleUnit: 'nanoseconds' });
    expect(parseProfileType('cpu')).toBeNull();
    expect(unitOf(space)).toBe('bytes');
    expect(unitOf('cpu')).toBe('count');
  });

  it('names and orders them', () => {
    expect([cpu, odd, 'nonsense'].map(profileTypeLabel)).toEqual(['CPU time', 'a · b', 'nonsense']);
    expect(sortProfileTypes([odd, space, cpu])).toEqual([cpu, space, odd]);
    expect(defaultProfileType([])).toBeUndefined();
  });
});

describe('chart', () => {
  const x = { from: 0, to: 600_000, length: 600 };

  it('maps values to pixels and back', () => {
    expect(position(x, 300_000)).toBe(300);
    expect(valueAt(x, 300)).toBe(300_000);
    expect(position({ from: 5, to: 5, length: 100 }, 5)).toBe(0);
  });

  it('puts ticks on round times, not too close', () => {
    expect(timeTicks(x)).toEqual([0, 120_000, 240_000, 360_000, 480_000, 600_000]);
  });

  it('draws the bar of a point before its time', () => {
    expect(barsPath([[60_000, 5]], 60_000, x, { from: 0, to: 10, length: 100 })).toBe('M0,100v-50h59v50z');
    expect(pointAt([[60_000, 5]], 60_000, 1)).toEqual([60_000, 5]);
    expect(pointAt([[60_000, 5]], 60_000, 60_001)).toBeUndefined();
  });
});

it('says what is wrong with a URL', () => {
  expect(urlProblem('')).toBeNull();
  expect(urlProblem('http://hearth:4040')).toBeNull();
  expect(urlProblem('hearth:4040')).toMatch('must start with http');
  expect(urlProblem('hearth')).toMatch('is not a URL');
});
