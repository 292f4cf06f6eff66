import { css } from '@emotion/css';
import { dateTimeFormat, type GrafanaTheme2 } from '@grafana/data';
import { useStyles2 } from '@grafana/ui';
import React, { useRef } from 'react';
import { barsPath, maximum, type Point, pointAt, position, timeFormat, timeTicks, valueAt } from '../../model/chart';
import { formatValue } from '../../model/units';
import { type MillisRange } from '../../state/time';
import { useSize } from '../useSize';
import { useDrag } from './useDrag';

interface Props {
  points: Point[];
  /** Milliseconds between grid points. */
  step: number;
  unit: string;
  range: MillisRange;
  height?: number;
  onSelect: (range: MillisRange) => void;
}

const AXIS = 18;
const MIN_DRAG_PX = 5;

/** Totals over time, a bar an interval. Dragging over it selects a range. */
export function Timeline({ points, step, unit, range, height = 110, onSelect }: Props) {
  const styles = useStyles2(getStyles);
  const frame = useRef<HTMLDivElement>(null);
  const { width } = useSize(frame);
  const x = { from: range.from, to: range.until, length: width };
  const largest = maximum(points);
  const y = { from: 0, to: (largest || 1) * 1.08, length: height - AXIS };
  const { hover, drag, handlers } = useDrag((from, to) => {
    if (to - from >= MIN_DRAG_PX) {
      onSelect({ from: Math.round(valueAt(x, from)), until: Math.round(valueAt(x, to)) });
    }
  });

  const hovered = hover === null ? undefined : pointAt(points, step, valueAt(x, hover));
  const format = timeFormat(range.until - range.from);
  const sum = points.reduce((total, [, value]) => total + value, 0);
  return (
    <div ref={frame} className={styles.frame} data-testid="hearth-timeline" data-points={points.length}>
      <svg
        width={width}
        height={height}
        role="img"
        aria-label={`${formatValue(sum, unit)} over ${points.length} intervals, at most ${formatValue(largest, unit)} in one. Drag to select a time range.`}
        className={styles.chart}
        {...handlers}
      >
        {timeTicks(x).map((tick) => (
          <g key={tick} transform={`translate(${position(x, tick)},0)`}>
            <line y2={y.length} className={styles.grid} />
            <text y={height - 4} textAnchor="middle" className={styles.text}>
              {dateTimeFormat(tick, { format })}
            </text>
          </g>
        ))}
        <path d={barsPath(points, step, x, y)} className={styles.bars} />
        {hovered && <path d={barsPath([hovered], step, x, y)} className={styles.hovered} />}
        <line y1={y.length} y2={y.length} x2={width} className={styles.grid} />
        {largest > 0 && (
          <text x={4} y={11} className={styles.text}>
            {formatValue(largest, unit)}
          </text>
        )}
        {drag && <rect x={drag[0]} width={drag[1] - drag[0]} height={y.length} className={styles.selection} />}
      </svg>
      {hovered && !drag && (
        <div className={styles.readout} role="status">
          {dateTimeFormat(hovered[0] - step, { format: 'YYYY-MM-DD HH:mm:ss' })} · {formatValue(hovered[1], unit)}
        </div>
      )}
    </div>
  );
}

const getStyles = (theme: GrafanaTheme2) => ({
  frame: css({ position: 'relative', width: '100%', overflow: 'hidden' }),
  chart: css({ display: 'block', cursor: 'crosshair', touchAction: 'none', userSelect: 'none' }),
  grid: css({ stroke: theme.colors.border.weak }),
  text: css({
    fill: theme.colors.text.secondary,
    fontSize: 11,
    // Legible over bars.
    paintOrder: 'stroke',
    stroke: theme.colors.background.primary,
    strokeWidth: 3,
  }),
  bars: css({ fill: theme.visualization.getColorByName('orange'), fillOpacity: 0.65 }),
  hovered: css({ fill: theme.visualization.getColorByName('orange') }),
  selection: css({ fill: theme.colors.primary.main, fillOpacity: 0.25, stroke: theme.colors.primary.border }),
  readout: css({
    position: 'absolute',
    top: 0,
    right: 4,
    padding: theme.spacing(0, 0.5),
    background: theme.colors.background.primary,
    fontSize: theme.typography.bodySmall.fontSize,
    pointerEvents: 'none',
  }),
});
