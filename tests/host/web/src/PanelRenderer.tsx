import { EventBusSrv, getDefaultTimeRange, LoadingState, type PanelData, type PanelProps } from '@grafana/data';
import { getTemplateSrv, type PanelRendererProps } from '@grafana/runtime';
import { Alert } from '@grafana/ui';
import { useMemo } from 'react';
import { loadPanel } from './plugins';
import { useAsync } from './useAsync';

const noData: PanelData = { state: LoadingState.Done, series: [], timeRange: getDefaultTimeRange() };

/** Draws a panel plugin on given data, with its options' defaults filled in. */
export function PanelRenderer({ pluginId, title, data = noData, width, height, ...rest }: PanelRendererProps) {
  const { value: plugin, error } = useAsync(() => loadPanel(pluginId), pluginId);
  const eventBus = useMemo(() => new EventBusSrv(), []);
  if (error) {
    return <Alert title={`Panel ${pluginId}`}>{error.message}</Alert>;
  }
  const Panel = plugin?.panel;
  if (!Panel) {
    return null;
  }
  const props: PanelProps = {
    id: 1,
    title,
    data,
    width,
    height,
    eventBus,
    timeRange: data.timeRange,
    timeZone: 'browser',
    transparent: false,
    renderCounter: 0,
    options: { ...(plugin.defaults as object), ...(rest.options as object) },
    fieldConfig: rest.fieldConfig ?? { defaults: {}, overrides: [] },
    replaceVariables: (text) => getTemplateSrv().replace(text),
    onOptionsChange: rest.onOptionsChange ?? (() => {}),
    onFieldConfigChange: rest.onFieldConfigChange ?? (() => {}),
    onChangeTimeRange: rest.onChangeTimeRange ?? (() => {}),
  };
  return <Panel {...props} />;
}
