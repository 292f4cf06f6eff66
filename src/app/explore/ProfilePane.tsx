import { css } from '@emotion/css';
import { LoadingBar, useStyles2 } from '@grafana/ui';
import React, { useMemo } from 'react';
import { api } from '../../api/client';
import { type Selection } from '../../api/types';
import { graphFromLevels } from '../../flamegraph/graph';
import { profileTypeLabel } from '../../model/profile_type';
import { type FlameChoices, FlameGraphView } from '../../ui/flamegraph/FlameGraphView';
import { EmptyView, ErrorView, LoadingView } from '../../ui/states';
import { useLoad } from '../../ui/useLoad';

interface Props {
  selection: Selection;
  tick: number;
  choices: FlameChoices;
  onChange: (change: Partial<FlameChoices>) => void;
  onRetry: () => void;
}

/** What the page's other parts leave of the window, and enough in a low one. */
const HEIGHT = 'max(420px, calc(100vh - 360px))';

/** Flame graph and function table of the selection. */
export function ProfilePane({ selection, tick, choices, onChange, onRetry }: Props) {
  const styles = useStyles2(getStyles);
  const key = `${JSON.stringify(selection)} ${tick}`;
  const scope = `${selection.service} ${selection.type}`;
  const graph = useLoad(key, (signal) => api.flameGraph(selection, signal), scope);
  // The table's values come from uncut data, so they are asked for apart.
  const exact = useLoad(key, (signal) => api.functions(selection, signal), scope);

  const drawn = useMemo(
    () => graph.data && graphFromLevels(graph.data.names ?? [], graph.data.levels ?? [], graph.data.unit),
    [graph.data]
  );
  if (graph.error) {
    return <ErrorView title="The flame graph cannot be drawn" error={graph.error} onRetry={onRetry} />;
  }
  if (!drawn) {
    return <LoadingView text="Loading the profile" />;
  }
  if (drawn.totalValue === 0) {
    return (
      <EmptyView title={`No ${profileTypeLabel(selection.type)} profile matches`}>
        <p>Choose a longer time range, or other labels.</p>
      </EmptyView>
    );
  }
  return (
    <div className={styles.pane}>
      <div className={styles.progress}>{graph.loading && <LoadingBar width={300} />}</div>
      <FlameGraphView
        graph={drawn}
        functions={exact.data?.functions ?? undefined}
        height={HEIGHT}
        search={choices.search}
        focus={choices.focus}
        view={choices.view}
        onChange={onChange}
      />
    </div>
  );
}

const getStyles = () => ({
  pane: css({ position: 'relative' }),
  /** Above the content, so that nothing moves when it comes and goes. */
  progress: css({ position: 'absolute', top: -2, left: 0, right: 0, overflow: 'hidden' }),
});
