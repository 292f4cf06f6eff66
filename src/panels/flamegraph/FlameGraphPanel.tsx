import { type PanelProps } from '@grafana/data';
import React, { useMemo, useState } from 'react';
import { type FlameChoices, FlameGraphView } from '../../ui/flamegraph/FlameGraphView';
import { EmptyView } from '../../ui/states';
import { graphOfFrames } from './frame';

export interface PanelOptions {
  /** Show the top table beside the graph at first. */
  showTable: boolean;
}

/** The app's flame graph in a dashboard or in Explore. */
export function FlameGraphPanel({ data, options, height }: PanelProps<PanelOptions>) {
  const found = useMemo(() => graphOfFrames(data.series), [data.series]);
  const [choices, setChoices] = useState<Partial<FlameChoices>>({});
  if (found.kind === 'none') {
    return <EmptyView title={found.reason} />;
  }
  return (
    <FlameGraphView
      graph={found.graph}
      height={height}
      search={choices.search ?? ''}
      focus={choices.focus ?? ''}
      view={choices.view ?? (options.showTable === false ? 'flamegraph' : 'both')}
      onChange={(change) => setChoices((known) => ({ ...known, ...change }))}
    />
  );
}
