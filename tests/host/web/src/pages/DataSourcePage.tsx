import { type DataSourcePluginOptionsEditorProps, type DataSourceSettings } from '@grafana/data';
import { getBackendSrv } from '@grafana/runtime';
import { Alert, Button, LoadingPlaceholder } from '@grafana/ui';
import { type ComponentType, useState } from 'react';
import { type RouteComponentProps } from 'react-router-dom';
import { loadDataSource } from '../plugins';
import { PluginPage } from '../PluginPage';
import { useAsync } from '../useAsync';

type Editor = ComponentType<DataSourcePluginOptionsEditorProps>;

/** The configuration editor of a data source, with Grafana's "Save & test" below it. */
export function DataSourcePage({ match }: RouteComponentProps<{ uid: string }>) {
  const { uid } = match.params;
  const { value, error } = useAsync(() => loadBoth(uid), uid);
  const [edited, setEdited] = useState<DataSourceSettings>();
  const [result, setResult] = useState<{ ok: boolean; message: string }>();
  if (error) {
    return <Alert title={`Data source ${uid} did not load`}>{error.message}</Alert>;
  }
  if (!value) {
    return <LoadingPlaceholder text="Loading" />;
  }
  const settings = edited ?? value.settings;
  const saveAndTest = async () => {
    await getBackendSrv().put(`/api/datasources/uid/${uid}`, settings);
    setResult(await test(uid));
  };
  const { Editor } = value;
  return (
    <PluginPage pageNav={{ text: settings.name }}>
      {Editor && <Editor options={settings} onOptionsChange={setEdited} />}
      <div style={{ margin: '24px 0' }}>
        <Button onClick={saveAndTest} data-testid="host-save-and-test">
          Save &amp; test
        </Button>
      </div>
      {result && (
        <Alert title={result.message} severity={result.ok ? 'success' : 'error'} data-testid="host-test-result" />
      )}
    </PluginPage>
  );
}

async function loadBoth(uid: string) {
  const settings: DataSourceSettings = await getBackendSrv().get(`/api/datasources/uid/${uid}`);
  const { plugin } = await loadDataSource(uid);
  return { settings, Editor: plugin.components.ConfigEditor as Editor | undefined };
}

async function test(uid: string) {
  try {
    const { api } = await loadDataSource(uid);
    const { status, message } = await api.testDatasource();
    return { ok: status !== 'error', message: String(message) };
  } catch (error) {
    return { ok: false, message: (error as Error).message };
  }
}
