import React from 'react';
import { api } from '../../api/client';
import { type Selection } from '../../api/types';
import { type MillisRange, stepFor } from '../../state/time';
import { ErrorView, LoadingView } from '../../ui/states';
import { Timeline } from '../../ui/timeline/Timeline';
import { useLoad } from '../../ui/useLoad';

interface Props {
  selection: Selection;
  tick: number;
  onRange: (raw: { from: string; until: string }) => void;
}

/** The selection's totals over time; dragging narrows the page's time range. */
export function TimelinePane({ selection, tick, onRange }: Props) {
  const { from, until } = selection;
  const step = stepFor(selection);
  const { data, error } = useLoad(
    `${JSON.stringify(selection)} ${tick}`,
    // The grid starts at a multiple of the step, so that bars stay put while "now" moves on.
    (signal) => api.series({ ...selection, from: Math.floor(from / (step * 1000)) * step * 1000, step }, signal),
    `${selection.service} ${selection.type}`
  );
  const select = (range: MillisRange) => onRange({ from: String(range.from), until: String(range.until) });

  if (error) {
    return <ErrorView title="The timeline cannot be drawn" error={error} />;
  }
  if (!data) {
    return <LoadingView text="Loading the timeline" />;
  }
  return (
    <Timeline
      points={data.series?.[0]?.points ?? []}
      step={data.step * 1000}
      unit={data.unit}
      range={{ from, until }}
      onSelect={select}
    />
  );
}
