import { useTheme2 } from '@grafana/ui';
import React from 'react';
import { areaPath, maximum, type Point } from '../../model/chart';

interface Props {
  points: Point[];
  range: { from: number; until: number };
  label: string;
}

const WIDTH = 160;
const HEIGHT = 28;

/** The shape of a series, without axes. */
export function Sparkline({ points, range, label }: Props) {
  const theme = useTheme2();
  const x = { from: range.from, to: range.until, length: WIDTH };
  const y = { from: 0, to: maximum(points) || 1, length: HEIGHT - 2 };
  return (
    <svg width={WIDTH} height={HEIGHT} role="img" aria-label={label} style={{ display: 'block', overflow: 'hidden' }}>
      <path
        d={areaPath(points, x, y)}
        fill={theme.visualization.getColorByName('orange')}
        fillOpacity={0.35}
        stroke={theme.visualization.getColorByName('orange')}
        strokeWidth={1}
      />
    </svg>
  );
}
