import { CoreApp, type DataQuery, type FieldConfigSource, type TimeRange } from '@grafana/data';
import { config, getBackendSrv, getTemplateSrv } from '@grafana/runtime';
import { Alert, LoadingPlaceholder, PanelChrome } from '@grafana/ui';
import { type RouteComponentProps } from 'react-router-dom';
import { FrameView } from '../FrameView';
import { PanelRenderer } from '../PanelRenderer';
import { Picker } from '../Picker';
import { PluginPage } from '../PluginPage';
import { runQueries } from '../query';
import { timeRange, urlTime } from '../time';
import { useAsync } from '../useAsync';
import { useWidth } from '../useWidth';
import { resolveVariables, type VariableModel } from '../variables';

interface PanelModel {
  id: number;
  type: string;
  title?: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: DataQuery[];
  datasource?: DataQuery['datasource'];
  options?: object & { content?: string };
  fieldConfig?: FieldConfigSource;
}

interface DashboardModel {
  title: string;
  time?: { from: string; to: string };
  templating?: { list: VariableModel[] };
  panels: PanelModel[];
}

const cell = 30;
const gap = 8;

/** A provisioned dashboard: Grafana's grid of 24 columns, each panel with the answers of its queries. */
export function DashboardPage({ match, location, history }: RouteComponentProps<{ uid: string }>) {
  const params = new URLSearchParams(location.search);
  const [ref, width] = useWidth();
  const { value, error } = useAsync(() => load(match.params.uid, params), `${match.params.uid}${location.search}`);
  const setRange = ({ raw }: TimeRange) => {
    params.set('from', urlTime(raw.from));
    params.set('to', urlTime(raw.to));
    history.push(`?${params}`);
  };
  if (error) {
    return <Alert title="The dashboard did not load">{error.message}</Alert>;
  }
  if (!value) {
    return <LoadingPlaceholder text="Loading" />;
  }
  const { dashboard, range } = value;
  return (
    <PluginPage pageNav={{ text: dashboard.title }} actions={<Picker range={range} onChange={setRange} />}>
      <div ref={ref} style={{ display: 'grid', gap, gridTemplateColumns: 'repeat(24, 1fr)', gridAutoRows: cell }}>
        {width > 0 &&
          dashboard.panels.map((panel) => (
            <GridPanel key={panel.id} panel={panel} range={range} column={(width + gap) / 24} />
          ))}
      </div>
    </PluginPage>
  );
}

async function load(uid: string, params: URLSearchParams) {
  const { dashboard }: { dashboard: DashboardModel } = await getBackendSrv().get(`/api/dashboards/uid/${uid}`);
  const range = timeRange(params.get('from') ?? dashboard.time?.from, params.get('to') ?? dashboard.time?.to);
  await resolveVariables(dashboard.templating?.list ?? [], params, range);
  return { dashboard, range };
}

function GridPanel({ panel, range, column }: { panel: PanelModel; range: TimeRange; column: number }) {
  const { x, y, w, h } = panel.gridPos;
  const place = { gridColumn: `${x + 1} / span ${w}`, gridRow: `${y + 1} / span ${h}`, minWidth: 0 };
  return (
    <div style={place} data-testid={`host-panel-${panel.id}`} data-type={panel.type}>
      <PanelChrome title={getTemplateSrv().replace(panel.title)} width={Math.floor(column * w - gap)} height={h * (cell + gap) - gap}>
        {(width, height) => <PanelBody panel={panel} range={range} width={width} height={height} />}
      </PanelChrome>
    </div>
  );
}

interface BodyProps {
  panel: PanelModel;
  range: TimeRange;
  width: number;
  height: number;
}

function PanelBody({ panel, range, width, height }: BodyProps) {
  const targets = (panel.targets ?? []).map((t) => ({ ...t, datasource: t.datasource ?? panel.datasource }));
  const key = `${panel.id} ${range.from.valueOf()} ${range.to.valueOf()}`;
  const { value, error } = useAsync(
    async () => (targets.length > 0 ? runQueries(targets, range, CoreApp.Dashboard) : undefined),
    key
  );
  const message = error?.message ?? value?.error?.message;
  if (message) {
    return <Alert title={message} data-testid="host-query-error" />;
  }
  if (panel.type === 'text') {
    return <div style={{ whiteSpace: 'pre-wrap' }}>{panel.options?.content}</div>;
  }
  if (!value) {
    return null;
  }
  if (!config.panels[panel.type]) {
    return <FrameView data={value} width={width} height={height} />;
  }
  return (
    <PanelRenderer
      pluginId={panel.type}
      title=""
      data={value}
      width={width}
      height={height}
      options={panel.options}
      fieldConfig={panel.fieldConfig}
    />
  );
}
