import { type TimeRange } from '@grafana/data';
import { RefreshPicker, TimeRangePicker } from '@grafana/ui';
import React from 'react';
import { millis, rawRange, timeRange } from '../state/time';

interface Props {
  range: TimeRange;
  /** "10s"; empty: off. */
  interval: string;
  loading: boolean;
  onRange: (raw: { from: string; until: string }) => void;
  onInterval: (interval: string) => void;
  onRefresh: () => void;
}

/** Time range and refresh, as on a dashboard. */
export function TimeControls({ range, interval, loading, onRange, onInterval, onRefresh }: Props) {
  const move = (by: number) => {
    const { from, until } = millis(range);
    const shift = Math.round((until - from) * by);
    onRange({ from: String(from + shift), until: String(until + shift) });
  };
  const zoomOut = () => {
    const { from, until } = millis(range);
    const margin = Math.round((until - from) / 2);
    onRange({ from: String(from - margin), until: String(until + margin) });
  };
  return (
    <>
      <TimeRangePicker
        value={range}
        onChange={(chosen) => onRange(rawRange(chosen))}
        onChangeTimeZone={() => undefined}
        onMoveBackward={() => move(-0.5)}
        onMoveForward={() => move(0.5)}
        onZoom={zoomOut}
        isOnCanvas
      />
      <RefreshPicker
        value={interval}
        intervals={['10s', '30s', '1m', '5m']}
        isLoading={loading}
        onIntervalChanged={onInterval}
        onRefresh={onRefresh}
        isOnCanvas
      />
    </>
  );
}

/** Resolves raw ends anew at each tick, so that "now" moves on. */
export function useTimeRange(from: string, until: string, tick: number): TimeRange {
  // eslint-disable-next-line react-hooks/exhaustive-deps -- tick is when to look at the clock again
  return React.useMemo(() => timeRange(from, until), [from, until, tick]);
}
