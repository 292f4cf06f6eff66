import {
  EventBusSrv,
  type Registry,
  type RegistryItem,
  standardEditorsRegistry,
  standardFieldConfigEditorRegistry,
  standardTransformersRegistry,
} from '@grafana/data';
import * as runtime from '@grafana/runtime';
import { of } from 'rxjs';
import { HostBackendSrv } from './backendsrv';
import { findDataSource, loadDataSource } from './plugins';
import { HostTemplateSrv } from './templatesrv';

type Setter = (value: unknown) => void;

/** Puts every service in place that @grafana/runtime expects of Grafana. Versions differ in which setters exist. */
export async function setSingletons() {
  const setters = runtime as unknown as Record<string, Setter | undefined>;
  const services: Record<string, unknown> = {
    setBackendSrv: new HostBackendSrv(),
    setDataSourceSrv: dataSourceSrv,
    setTemplateSrv: new HostTemplateSrv(),
    setEchoSrv: { flush() {}, addBackend() {}, addEvent() {} },
    setAppEvents: new EventBusSrv(),
    setCurrentUser: window.grafanaBootData.user,
    setGrafanaLiveSrv: liveSrv,
    setChromeHeaderHeightHook: () => 0,
    setMegaMenuOpenHook: () => [false, () => {}],
    setReturnToPreviousHook: () => () => {},
    setHelpNavItemHook: () => undefined,
    setPluginExtensionGetter: () => ({ extensions: [] }),
    setPluginExtensionsHook: () => ({ extensions: [], isLoading: false }),
    setPluginLinksHook: () => ({ links: [], isLoading: false }),
    setPluginComponentHook: () => ({ component: null, isLoading: false }),
    setPluginComponentsHook: () => ({ components: [], isLoading: false }),
    setPluginFunctionsHook: () => ({ functions: [], isLoading: false }),
    setCorrelationsService: { getCorrelationsBySourceUIDs: async () => ({ correlations: [] }) },
  };
  for (const [name, service] of Object.entries(services)) {
    setters[name]?.(service);
  }
  setEditorRegistries();
}

const dataSourceSrv = {
  get: async (ref?: string | { uid?: string }) => (await loadDataSource(findDataSource(ref)?.uid ?? String(ref))).api,
  getList: () => Object.values(runtime.config.datasources),
  getInstanceSettings: findDataSource,
  reload() {},
  registerRuntimeDataSource() {},
};

const liveSrv = {
  getConnectionState: () => of(false),
  getStream: () => of(),
  getDataStream: () => of(),
  getQueryData: () => of(),
  getPresence: () => of(),
  publish: async () => ({}),
};

/** Option editors live in Grafana's own application; panels only need their ids to be known. */
function setEditorRegistries() {
  const ids = [
    'text', 'number', 'slider', 'boolean', 'select', 'multi-select', 'radio', 'strings', 'color', 'unit', 'thresholds',
    'mappings', 'fieldColor', 'field-name', 'fieldColorMode', 'links', 'actions', 'stats-picker', 'timezone', 'dashboard-uid',
  ]; // prettier-ignore
  const items = ids.map((id) => ({ id, name: id, editor: () => null, override: () => null, process: (v: unknown) => v }));
  init(standardEditorsRegistry, items);
  init(standardFieldConfigEditorRegistry, []);
  init(standardTransformersRegistry, []);
}

function init(registry: unknown, items: RegistryItem[]) {
  (registry as Registry<RegistryItem>).setInit(() => items);
}
