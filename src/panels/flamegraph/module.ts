import { PanelPlugin } from '@grafana/data';
import { FlameGraphPanel, type PanelOptions } from './FlameGraphPanel';

export const plugin = new PanelPlugin<PanelOptions>(FlameGraphPanel).setPanelOptions((builder) =>
  builder.addBooleanSwitch({
    path: 'showTable',
    name: 'Top table',
    description: 'Show the functions with their self and total values beside the graph',
    defaultValue: true,
  })
);
