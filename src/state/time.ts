// Time ranges between the URL's raw texts and Grafana's TimeRange.
import { dateMath, dateTime, type DateTime, rangeUtil, type TimeRange } from '@grafana/data';

/** A resolved range in epoch milliseconds, as requests carry it. */
export interface MillisRange {
  from: number;
  until: number;
}

/** Resolves raw texts ("now-1h", "1700000000000") at this moment. */
export function timeRange(from: string, until: string): TimeRange {
  return rangeUtil.convertRawToRange({ from: parseEnd(from), to: parseEnd(until) });
}

export function millis(range: TimeRange): MillisRange {
  return { from: range.from.valueOf(), until: range.to.valueOf() };
}

/** The raw texts of a range: relative ends stay relative. */
export function rawRange(range: TimeRange): { from: string; until: string } {
  return { from: rawEnd(range.raw.from), until: rawEnd(range.raw.to) };
}

/** Around 200 points whatever the range, at least 15 s (what agents send) apart, in round seconds. */
export function stepFor({ from, until }: MillisRange, points = 200): number {
  const wanted = (until - from) / 1000 / points;
  return ROUND_STEPS.find((step) => step >= wanted) ?? Math.ceil(wanted / 86_400) * 86_400;
}

const ROUND_STEPS = [15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400];

function parseEnd(text: string): DateTime | string {
  return /^\d+$/.test(text) ? dateTime(Number(text)) : dateMath.isMathString(text) ? text : 'now';
}

function rawEnd(end: DateTime | string): string {
  if (typeof end !== 'string') {
    return String(end.valueOf());
  }
  return dateMath.isMathString(end) ? end : String(dateTime(end).valueOf());
}
