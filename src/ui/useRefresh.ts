import { rangeUtil } from '@grafana/data';
import { useCallback, useEffect, useState } from 'react';

/** A number that grows with every refresh, by hand or after each interval ("10s"; empty: only by hand). */
export function useRefresh(interval: string): [number, () => void] {
  const [tick, setTick] = useState(0);
  const refresh = useCallback(() => setTick((known) => known + 1), []);

  useEffect(() => {
    if (interval === '') {
      return undefined;
    }
    const timer = setInterval(() => document.hidden || refresh(), rangeUtil.intervalToMs(interval));
    return () => clearInterval(timer);
  }, [interval, refresh]);

  return [tick, refresh];
}
