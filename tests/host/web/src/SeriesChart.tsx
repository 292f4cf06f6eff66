import { type DataFrame, FieldType, getDisplayProcessor, getFieldDisplayName } from '@grafana/data';
import { config } from '@grafana/runtime';

interface Line {
  name: string;
  color: string;
  times: number[];
  values: number[];
  last: string;
}

interface Props {
  frames: DataFrame[];
  width: number;
  height: number;
}

/** A plain line chart with a legend: enough to see that series arrived and what they say. */
export function SeriesChart({ frames, width, height }: Props) {
  const lines = frames.flatMap(linesOf);
  const times = lines.flatMap((l) => l.times);
  const [start, end] = [Math.min(...times), Math.max(...times)];
  const top = Math.max(...lines.flatMap((l) => l.values), 1e-9);
  const plot = height - 44;
  const x = (t: number) => (end === start ? width / 2 : ((t - start) / (end - start)) * (width - 16) + 8);
  const y = (v: number) => plot - (v / top) * (plot - 8);
  return (
    <figure data-testid="host-series" data-lines={lines.length} data-points={times.length} style={{ margin: 0 }}>
      <svg width={width} height={plot + 4} role="img" aria-label="time series">
        {lines.map((line) => (
          <g key={line.name} fill={line.color} stroke={line.color}>
            <polyline points={line.times.map((t, i) => `${x(t)},${y(line.values[i])}`).join(' ')} fill="none" />
            {line.times.length < 200 && line.times.map((t, i) => <circle key={t} cx={x(t)} cy={y(line.values[i])} r={2} />)}
          </g>
        ))}
      </svg>
      <figcaption style={{ display: 'flex', gap: 16, flexWrap: 'wrap', maxHeight: 40, overflow: 'auto' }}>
        {lines.map((line) => (
          <span key={line.name}>
            <span style={{ color: line.color }}>■</span> {line.name}: {line.last}
          </span>
        ))}
      </figcaption>
    </figure>
  );
}

function linesOf(frame: DataFrame, index: number): Line[] {
  const time = frame.fields.find((f) => f.type === FieldType.time)!;
  const palette = config.theme2.visualization.palette;
  return frame.fields
    .filter((f) => f.type === FieldType.number)
    .map((field, i) => {
      const shown = getDisplayProcessor({ field, theme: config.theme2 })(field.values.at(-1));
      return {
        name: getFieldDisplayName(field, frame),
        color: config.theme2.visualization.getColorByName(palette[(index + i) % palette.length]),
        times: Array.from(time.values as number[]),
        values: Array.from(field.values as number[]),
        last: `${shown.prefix ?? ''}${shown.text}${shown.suffix ?? ''}`,
      };
    });
}
