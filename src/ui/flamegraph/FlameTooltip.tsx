import { css } from '@emotion/css';
import { type GrafanaTheme2 } from '@grafana/data';
import { Portal, useStyles2 } from '@grafana/ui';
import React from 'react';
import { type FlameGraph, nameOf, type NodeIndex } from '../../flamegraph/graph';
import { formatShare, formatValue } from '../../model/units';

interface Props {
  graph: FlameGraph;
  node: NodeIndex;
  /** -1 when the whole graph is shown. */
  focus: NodeIndex;
  /** Position in the window. */
  x: number;
  y: number;
}

const WIDTH = 420;
const OFFSET = 14;

/** What a box stands for, beside the pointer and within the window. */
export function FlameTooltip({ graph, node, focus, x, y }: Props) {
  const styles = useStyles2(getStyles);
  const total = graph.total[node];
  const self = graph.self[node];
  const left = Math.max(0, Math.min(x + OFFSET, window.innerWidth - WIDTH - OFFSET));
  const above = y > window.innerHeight - 160;
  const position = above ? { left, bottom: window.innerHeight - y + OFFSET } : { left, top: y + OFFSET };
  return (
    <Portal>
      <div className={styles.tooltip} style={position} data-testid="hearth-tooltip" role="tooltip">
        <div className={styles.name}>{nameOf(graph, node)}</div>
        <dl className={styles.values}>
          <dt>Total</dt>
          <dd>{formatValue(total, graph.unit)}</dd>
          <dd>{formatShare(total, graph.totalValue)}</dd>
          <dt>Self</dt>
          <dd>{formatValue(self, graph.unit)}</dd>
          <dd>{formatShare(self, graph.totalValue)}</dd>
          {focus > 0 && (
            <>
              <dt>Of the zoomed</dt>
              <dd>{formatShare(Math.min(total, graph.total[focus]), graph.total[focus])}</dd>
              <dd />
            </>
          )}
        </dl>
      </div>
    </Portal>
  );
}

/** The same in a sentence, for a screen reader. */
export function describe(graph: FlameGraph, node: NodeIndex): string {
  const total = `total ${formatValue(graph.total[node], graph.unit)}, ${formatShare(graph.total[node], graph.totalValue)}`;
  const self = `self ${formatValue(graph.self[node], graph.unit)}`;
  return `${nameOf(graph, node)}: ${total}; ${self}; ${graph.childCount[node]} callees`;
}

const getStyles = (theme: GrafanaTheme2) => ({
  tooltip: css({
    position: 'fixed',
    zIndex: theme.zIndex.tooltip,
    maxWidth: WIDTH,
    padding: theme.spacing(1, 1.5),
    background: theme.colors.background.elevated ?? theme.colors.background.primary,
    border: `1px solid ${theme.colors.border.medium}`,
    borderRadius: theme.shape.radius.default,
    boxShadow: theme.shadows.z3,
    fontSize: theme.typography.bodySmall.fontSize,
    pointerEvents: 'none',
  }),
  name: css({
    fontFamily: theme.typography.fontFamilyMonospace,
    overflowWrap: 'anywhere',
    marginBottom: theme.spacing(0.5),
  }),
  values: css({
    display: 'grid',
    gridTemplateColumns: 'max-content max-content max-content',
    columnGap: theme.spacing(2),
    margin: 0,
    dt: { fontWeight: theme.typography.fontWeightRegular, color: theme.colors.text.secondary },
    dd: { margin: 0, textAlign: 'right', fontVariantNumeric: 'tabular-nums' },
  }),
});
