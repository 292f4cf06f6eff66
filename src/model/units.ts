// Values as people read them. A unit is what the profile type says
// ("nanoseconds", "bytes", "objects" …) or a Grafana unit of a frame ("ns").

interface Step {
  factor: number;
  suffix: string;
}

const TIME: Step[] = [
  { factor: 86_400e9, suffix: 'days' },
  { factor: 3_600e9, suffix: 'h' },
  { factor: 60e9, suffix: 'min' },
  { factor: 1e9, suffix: 's' },
  { factor: 1e6, suffix: 'ms' },
  { factor: 1e3, suffix: 'µs' },
  { factor: 1, suffix: 'ns' },
];

const BYTES: Step[] = [
  { factor: 2 ** 50, suffix: 'PiB' },
  { factor: 2 ** 40, suffix: 'TiB' },
  { factor: 2 ** 30, suffix: 'GiB' },
  { factor: 2 ** 20, suffix: 'MiB' },
  { factor: 2 ** 10, suffix: 'KiB' },
  { factor: 1, suffix: 'B' },
];

const COUNT: Step[] = [
  { factor: 1e12, suffix: 'T' },
  { factor: 1e9, suffix: 'G' },
  { factor: 1e6, suffix: 'M' },
  { factor: 1e3, suffix: 'k' },
  { factor: 1, suffix: '' },
];

/** Nanoseconds in one of each time unit. */
const TIME_UNITS: Record<string, number> = {
  nanoseconds: 1,
  ns: 1,
  microseconds: 1e3,
  'µs': 1e3,
  milliseconds: 1e6,
  ms: 1e6,
  seconds: 1e9,
  s: 1e9,
};

/** "1.5 min", "3.2 GiB", "12.3 k": three significant figures, the unit that suits. */
export function formatValue(value: number, unit: string): string {
  const nanoseconds = TIME_UNITS[unit];
  if (nanoseconds !== undefined) {
    return withStep(value * nanoseconds, TIME);
  }
  return withStep(value, unit === 'bytes' ? BYTES : COUNT);
}

function withStep(value: number, steps: Step[]): string {
  const size = Math.abs(value);
  // Half a unit of rounding is allowed for, so that 999.9 k is written as 1 M.
  const step = steps.find(({ factor }) => size >= factor * 0.9995) ?? steps[steps.length - 1];
  const number = significant(value / step.factor);
  return step.suffix === '' ? number : `${number} ${step.suffix}`;
}

function significant(value: number): string {
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return String(Number(value.toFixed(digits)));
}

/** "12.3 %"; a share too small to show is "< 0.01 %", never "0 %". */
export function formatShare(value: number, total: number): string {
  if (total === 0 || value === 0) {
    return '0 %';
  }
  const percent = (value / total) * 100;
  if (percent < 0.01) {
    return '< 0.01 %';
  }
  return `${Number(percent.toFixed(percent < 10 ? 2 : 1))} %`;
}

/** What the frame field configuration calls our units. */
export function grafanaUnit(unit: string): string {
  const nanoseconds = TIME_UNITS[unit];
  const names: Record<number, string> = { 1: 'ns', 1e3: 'µs', 1e6: 'ms', 1e9: 's' };
  return nanoseconds !== undefined ? names[nanoseconds] : unit === 'bytes' ? 'bytes' : 'short';
}
