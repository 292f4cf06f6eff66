import { type AppRootProps } from '@grafana/data';
import { Alert, LoadingPlaceholder } from '@grafana/ui';
import { type ComponentType } from 'react';
import { type RouteComponentProps } from 'react-router-dom';
import { loadApp } from '../plugins';
import { NavTitle } from '../PluginPage';
import { useAsync } from '../useAsync';

/** An app's own pages, under /a/<app id>. */
export function AppPage({ match, location }: RouteComponentProps<{ id: string }>) {
  const { id } = match.params;
  const { value: plugin, error } = useAsync(() => loadApp(id), id);
  if (error) {
    return <Alert title={`App ${id} did not load`}>{error.message}</Alert>;
  }
  if (!plugin?.root) {
    return <LoadingPlaceholder text="Loading" />;
  }
  const Root = plugin.root as ComponentType<AppRootProps>;
  const title = plugin.meta.includes?.find(({ path }) => path === location.pathname)?.name ?? plugin.meta.name;
  return (
    <NavTitle.Provider value={title}>
      <Root
        meta={plugin.meta}
        basename={`/a/${id}`}
        query={Object.fromEntries(new URLSearchParams(location.search))}
        path={location.pathname}
        onNavChanged={() => {}}
      />
    </NavTitle.Provider>
  );
}
