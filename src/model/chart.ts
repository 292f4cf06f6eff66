// The arithmetic of the small charts: scales, round ticks, shapes as SVG paths.

/** Epoch milliseconds and value. */
export type Point = [number, number];

/** Maps [from, to] linearly onto [0, length]. */
export interface Scale {
  from: number;
  to: number;
  length: number;
}

export function position({ from, to, length }: Scale, value: number): number {
  return to === from ? 0 : ((value - from) / (to - from)) * length;
}

export function valueAt({ from, to, length }: Scale, at: number): number {
  return length === 0 ? from : from + (at / length) * (to - from);
}

const TIME_STEPS = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
].map((seconds) => seconds * 1000);

/** Times on round boundaries (of UTC), at most one for each 110 px. */
export function timeTicks(scale: Scale): number[] {
  const wanted = ((scale.to - scale.from) / Math.max(scale.length, 1)) * 110;
  const step = TIME_STEPS.find((candidate) => candidate >= wanted) ?? Math.ceil(wanted / 604_800_000) * 604_800_000;
  const ticks: number[] = [];
  for (let at = Math.ceil(scale.from / step) * step; at <= scale.to; at += step) {
    ticks.push(at);
  }
  return ticks;
}

/** "14:05", with seconds or the date when the range asks for it. */
export function timeFormat(rangeMillis: number): string {
  if (rangeMillis <= 10 * 60_000) {
    return 'HH:mm:ss';
  }
  return rangeMillis <= 26 * 3_600_000 ? 'HH:mm' : 'MM-DD HH:mm';
}

/** One bar a point, standing on the bottom; a point at t counts what came in (t - step, t]. */
export function barsPath(points: readonly Point[], step: number, x: Scale, y: Scale): string {
  const width = Math.max(1, position(x, x.from + step) - 1);
  return points
    .map(([time, value]) => {
      const left = position(x, time - step);
      const height = Math.max(value > 0 ? 1 : 0, position(y, value));
      return `M${round(left)},${round(y.length)}v${round(-height)}h${round(width)}v${round(height)}z`;
    })
    .join('');
}

/** A filled outline over all points, closed at the bottom. */
export function areaPath(points: readonly Point[], x: Scale, y: Scale): string {
  if (points.length === 0) {
    return '';
  }
  const corners = points.map(([time, value]) => `${round(position(x, time))},${round(y.length - position(y, value))}`);
  const first = round(position(x, points[0][0]));
  const last = round(position(x, points[points.length - 1][0]));
  return `M${first},${round(y.length)}L${corners.join('L')}L${last},${round(y.length)}z`;
}

/** The point whose bar is at a time. */
export function pointAt(points: readonly Point[], step: number, time: number): Point | undefined {
  return points.find(([at]) => time > at - step && time <= at);
}

export function maximum(points: readonly Point[]): number {
  return points.reduce((largest, [, value]) => Math.max(largest, value), 0);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
