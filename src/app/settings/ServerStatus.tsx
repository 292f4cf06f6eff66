import { Alert } from '@grafana/ui';
import React from 'react';
import { api } from '../../api/client';
import { type Status } from '../../api/types';
import { ErrorView, LoadingView } from '../../ui/states';
import { useLoad } from '../../ui/useLoad';
import { useRefresh } from '../../ui/useRefresh';

const MODES: Record<Status['mode'], string> = {
  embedded: 'The server that runs inside this plugin process',
  'embedded-peer': 'The server that runs inside another process of this plugin',
  remote: 'The configured server',
};

/** Which server answers, and whether it is ready; looked at again every few seconds: an embedded server takes some to start. */
export function ServerStatus() {
  const [tick, refresh] = useRefresh('3s');
  const { data, error } = useLoad(`status ${tick}`, api.status);
  if (error) {
    return <ErrorView title="The server's status is unknown" error={error} onRetry={refresh} />;
  }
  if (!data) {
    return <LoadingView text="Asking for the server's status" />;
  }
  // Of the configured server there is nothing to add while it is well; of an embedded one, where it runs and why.
  const message = data.ready && data.mode === 'remote' ? '' : data.message;
  return (
    <div data-testid="hearth-status" data-mode={data.mode} data-ready={data.ready}>
      <Alert severity={data.ready ? 'success' : 'warning'} title={data.ready ? 'Ready' : 'Not ready'}>
        <p>
          {MODES[data.mode] ?? data.mode} is in use: <code>{data.url}</code>
          {data.version && `, version ${data.version}`}
        </p>
        {message && <p>{message}</p>}
      </Alert>
    </div>
  );
}
