import { dateTime, rangeUtil, type RawTimeRange, type TimeRange } from '@grafana/data';

const one = (text: string) => (/^\d+$/.test(text) ? dateTime(Number(text)) : text);

/** A time range of two URL values: Unix milliseconds or expressions such as now-1h. */
export function timeRange(from: string | null | undefined, to: string | null | undefined): TimeRange {
  const raw: RawTimeRange = { from: one(from || 'now-1h'), to: one(to || 'now') };
  return rangeUtil.convertRawToRange(raw);
}

/** The URL value of one end of a raw range. */
export function urlTime(end: RawTimeRange['from']): string {
  return typeof end === 'string' ? end : String(end.valueOf());
}
