import {
  type AppPlugin,
  type AppPluginMeta,
  type DataSourceApi,
  type DataSourceInstanceSettings,
  type DataSourcePlugin,
  type PanelPlugin,
  type PluginMeta,
} from '@grafana/data';
import { config, getBackendSrv } from '@grafana/runtime';

interface PluginModule<T> {
  plugin: T;
}

async function importPlugin<T>(meta: PluginMeta): Promise<T> {
  const url = `${location.origin}/${meta.module}?_cache=${meta.info.version}`;
  const module = (await System.import(url)) as PluginModule<T>;
  if (!module.plugin) {
    throw new Error(`${meta.module} exports no plugin`);
  }
  return module.plugin;
}

/** Keeps one promise per key, as Grafana keeps one instance per plugin. */
function once<T>(make: (key: string) => Promise<T>) {
  const made = new Map<string, Promise<T>>();
  return (key: string) => {
    const promise = made.get(key) ?? make(key);
    made.set(key, promise);
    return promise;
  };
}

export const loadApp = once(async (id: string): Promise<AppPlugin> => {
  const meta: AppPluginMeta = await getBackendSrv().get(`/api/plugins/${id}/settings`);
  const plugin = await importPlugin<AppPlugin>(meta);
  plugin.meta = meta;
  plugin.init(meta);
  return plugin;
});

const loadDataSourcePlugin = once(async (id: string) => {
  const settings = Object.values(config.datasources).find((d) => d.type === id)!;
  const plugin = await importPlugin<DataSourcePlugin<DataSourceApi>>(settings.meta);
  plugin.meta = settings.meta;
  return plugin;
});

export interface LoadedDataSource {
  plugin: DataSourcePlugin<DataSourceApi>;
  api: DataSourceApi;
}

export const loadDataSource = once(async (uid: string): Promise<LoadedDataSource> => {
  const settings = findDataSource(uid);
  if (!settings) {
    throw new Error(`data source ${uid} is not known`);
  }
  const plugin = await loadDataSourcePlugin(settings.type);
  const api = new plugin.DataSourceClass(settings);
  Object.assign(api, { components: plugin.components, meta: settings.meta });
  return { plugin, api };
});

/** Finds a data source by uid, name or type; without any of them the default one. */
export function findDataSource(ref?: string | { uid?: string; type?: string } | null): DataSourceInstanceSettings | undefined {
  const all = Object.values(config.datasources);
  const { uid, type } = typeof ref === 'string' ? { uid: ref, type: undefined } : (ref ?? {});
  if (!uid && !type) {
    return config.datasources[config.defaultDatasource] ?? all[0];
  }
  return (
    all.find((d) => d.uid === uid) ?? all.find((d) => d.name === uid) ?? (type ? all.find((d) => d.type === type) : undefined)
  );
}

export const loadPanel = once(async (id: string): Promise<PanelPlugin> => {
  const meta = config.panels[id];
  if (!meta) {
    throw new Error(`panel ${id} is not part of the host`);
  }
  const plugin = await importPlugin<PanelPlugin>(meta);
  plugin.meta = meta;
  return plugin;
});
