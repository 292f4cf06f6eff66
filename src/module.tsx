// Entry of the app. Pages are loaded when they are opened; Grafana reads this
// file at start-up of every page that shows the app in its menu.
import { AppPlugin, type AppPluginMeta, type AppRootProps, type PluginConfigPageProps } from '@grafana/data';
import React, { lazy, Suspense } from 'react';
import { type AppSettings } from './app/settings/settings';

const LazyApp = lazy(async () => ({ default: (await import('./app/App')).App }));
const LazySettings = lazy(async () => ({ default: (await import('./app/settings/SettingsPage')).SettingsPage }));

function App(props: AppRootProps<AppSettings>) {
  return (
    <Suspense fallback={null}>
      <LazyApp {...props} />
    </Suspense>
  );
}

function Settings(props: PluginConfigPageProps<AppPluginMeta<AppSettings>>) {
  return (
    <Suspense fallback={null}>
      <LazySettings {...props} />
    </Suspense>
  );
}

export const plugin = new AppPlugin<AppSettings>().setRootPage(App).addConfigPage({
  title: 'Configuration',
  icon: 'cog',
  body: Settings,
  id: 'configuration',
});
