import { type DataFrame, FieldType, getFieldDisplayName, type PanelData } from '@grafana/data';
import { config } from '@grafana/runtime';
import { PanelRenderer } from './PanelRenderer';
import { SeriesChart } from './SeriesChart';

interface Props {
  data: PanelData;
  width: number;
  height: number;
}

export const isFlameGraph = (frame: DataFrame) => frame.meta?.preferredVisualisationType === 'flamegraph';
const isSeries = (frame: DataFrame) => frame.fields.some((f) => f.type === FieldType.time);

/** Draws an answer by what its frames are: flame graphs by the plugin's panel, series as lines, others as a table. */
export function FrameView({ data, width, height }: Props) {
  const flames = data.series.filter(isFlameGraph);
  const series = data.series.filter((f) => !isFlameGraph(f) && isSeries(f));
  const tables = data.series.filter((f) => !isFlameGraph(f) && !isSeries(f));
  const panel = Object.keys(config.panels)[0];
  return (
    <>
      {series.length > 0 && <SeriesChart frames={series} width={width} height={flames.length > 0 ? Math.min(height, 220) : height} />}
      {flames.map((frame, i) => (
        <PanelRenderer
          key={i}
          title=""
          pluginId={panel}
          data={{ ...data, series: [frame] }}
          width={width}
          height={height}
        />
      ))}
      {tables.map((frame, i) => (
        <FrameTable key={i} frame={frame} />
      ))}
    </>
  );
}

function FrameTable({ frame }: { frame: DataFrame }) {
  const rows = Array.from({ length: Math.min(frame.length, 100) }, (_, i) => i);
  return (
    <table data-testid="host-table">
      <thead>
        <tr>
          {frame.fields.map((f) => (
            <th key={f.name}>{getFieldDisplayName(f, frame)}</th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row}>
            {frame.fields.map((f) => (
              <td key={f.name}>{String(f.values[row])}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
