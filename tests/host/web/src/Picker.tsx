import { dateTime, type TimeRange } from '@grafana/data';
import { TimeRangePicker } from '@grafana/ui';

interface Props {
  range: TimeRange;
  onChange: (range: TimeRange) => void;
}

/** Grafana's time range picker, with its arrows and zoom button doing what they do in Grafana. */
export function Picker({ range, onChange }: Props) {
  const [from, to] = [range.from.valueOf(), range.to.valueOf()];
  const half = (to - from) / 2;
  const set = (start: number, end: number) => {
    const raw = { from: dateTime(start), to: dateTime(end) };
    onChange({ ...raw, raw });
  };
  return (
    <TimeRangePicker
      value={range}
      onChange={onChange}
      onChangeTimeZone={() => {}}
      onMoveBackward={() => set(from - half, to - half)}
      onMoveForward={() => set(from + half, to + half)}
      onZoom={() => set(from - half, to + half)}
      isOnCanvas
    />
  );
}
