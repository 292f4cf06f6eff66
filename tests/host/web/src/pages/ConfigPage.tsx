import { type PluginConfigPageProps, type AppPluginMeta } from '@grafana/data';
import { Alert, LoadingPlaceholder, Tab, TabsBar } from '@grafana/ui';
import { type ComponentType } from 'react';
import { type RouteComponentProps } from 'react-router-dom';
import { loadApp } from '../plugins';
import { PluginPage } from '../PluginPage';
import { useAsync } from '../useAsync';

/** The configuration pages of an app, under /plugins/<app id>. */
export function ConfigPage({ match, location, history }: RouteComponentProps<{ id: string }>) {
  const { id } = match.params;
  const { value: plugin, error } = useAsync(() => loadApp(id), id);
  if (error) {
    return <Alert title={`App ${id} did not load`}>{error.message}</Alert>;
  }
  if (!plugin) {
    return <LoadingPlaceholder text="Loading" />;
  }
  const query = Object.fromEntries(new URLSearchParams(location.search));
  const pages = plugin.configPages ?? [];
  const page = pages.find((p) => p.id === query.page) ?? pages[0];
  const Body = page?.body as ComponentType<PluginConfigPageProps<AppPluginMeta>> | undefined;
  return (
    <PluginPage pageNav={{ text: plugin.meta.name }}>
      <TabsBar>
        {pages.map((p) => (
          <Tab key={p.id} label={p.title} active={p === page} onChangeTab={() => history.push(`?page=${p.id}`)} />
        ))}
      </TabsBar>
      <div style={{ paddingTop: 24 }}>{Body && <Body plugin={plugin} query={query} />}</div>
    </PluginPage>
  );
}
