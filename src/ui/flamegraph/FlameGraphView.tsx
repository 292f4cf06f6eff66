import { css } from '@emotion/css';
import { useStyles2 } from '@grafana/ui';
import React, { useMemo, useRef } from 'react';
import { type FlameGraph, type NodeIndex } from '../../flamegraph/graph';
import { largestNodeOf, nodeOfPath, pathKey } from '../../flamegraph/navigate';
import { compileQuery, search } from '../../flamegraph/search';
import { type FunctionValue, topFunctions } from '../../flamegraph/top';
import { type View } from '../../state/explore_state';
import { TopTable } from '../table/TopTable';
import { useSize } from '../useSize';
import { FlameCanvas } from './FlameCanvas';
import { FlameToolbar } from './FlameToolbar';

/** What the user chose to see; the owner keeps it, in the URL or in a panel. */
export interface FlameChoices {
  search: string;
  /** Path key of the node zoomed into; empty: the whole. */
  focus: string;
  view: View;
}

interface Props extends FlameChoices {
  graph: FlameGraph;
  /** Exact function values of the server; without them they are computed from the graph. */
  functions?: FunctionValue[];
  /** Pixels, or a CSS length. */
  height: number | string;
  onChange: (change: Partial<FlameChoices>) => void;
}

const NARROW = 760;

/** Flame graph, top table and the tools they share. */
export function FlameGraphView({ graph, functions, height, search: text, focus: focusKey, view, onChange }: Props) {
  const styles = useStyles2(getStyles);
  const body = useRef<HTMLDivElement>(null);
  const { width } = useSize(body);
  const query = useMemo(() => compileQuery(text), [text]);
  const found = useMemo(() => search(graph, query), [graph, query]);
  const focus = useMemo(() => nodeOfPath(graph, focusKey), [graph, focusKey]);
  const rows = useMemo(() => functions ?? topFunctions(graph), [functions, graph]);

  const setFocus = (node: NodeIndex) => onChange({ focus: pathKey(graph, node) });
  const setSearch = (wanted: string) => onChange({ search: wanted });
  const narrow = width > 0 && width < NARROW;

  return (
    <div className={styles.view} style={{ height }}>
      <FlameToolbar
        total={graph.totalValue}
        text={text}
        query={query}
        found={found}
        zoomed={focus > 0}
        view={view}
        onSearch={setSearch}
        onReset={() => setFocus(-1)}
        onView={(chosen) => onChange({ view: chosen })}
      />
      <div ref={body} className={styles.body} style={{ flexDirection: narrow ? 'column' : 'row' }}>
        {view !== 'flamegraph' && (
          <TopTable
            functions={rows}
            total={graph.totalValue}
            unit={graph.unit}
            query={query}
            searched={text}
            onSearch={setSearch}
            onFocus={(name) => setFocus(largestNodeOf(graph, name))}
          />
        )}
        {view !== 'table' && (
          <FlameCanvas graph={graph} focus={focus} search={found} onFocus={setFocus} onSearch={setSearch} />
        )}
      </div>
    </div>
  );
}

const getStyles = () => ({
  view: css({ display: 'flex', flexDirection: 'column', minHeight: 0 }),
  body: css({ flex: 1, minHeight: 0, display: 'flex', gap: 8 }),
});
