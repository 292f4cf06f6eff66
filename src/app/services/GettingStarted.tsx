import { css } from '@emotion/css';
import { type GrafanaTheme2 } from '@grafana/data';
import { ClipboardButton, LinkButton, useStyles2 } from '@grafana/ui';
import React from 'react';
import { api } from '../../api/client';
import { EmptyView } from '../../ui/states';
import { useLoad } from '../../ui/useLoad';
import { settingsUrl } from '../routes';

/** What to do when there are no profiles: where to send them, ready to be copied. */
export function GettingStarted() {
  const styles = useStyles2(getStyles);
  const { data: status } = useLoad('status', api.status);
  const url = status?.url || 'http://127.0.0.1:4040';
  const example = snippet(url);
  return (
    <EmptyView title="No profiles in this time range yet">
      <p>
        Point a profiler or SDK with the Pyroscope API at <code>{url}</code>, or choose a longer time range.
      </p>
      <p>In a Go program:</p>
      <div className={styles.code}>
        <pre>{example}</pre>
        <ClipboardButton size="sm" variant="secondary" icon="copy" className={styles.copy} getText={() => example}>
          Copy
        </ClipboardButton>
      </div>
      {status && !status.ready && <p>The server is not ready: {status.message || 'it gave no reason'}.</p>}
      <LinkButton href={settingsUrl} variant="secondary" icon="cog">
        Which server is in use?
      </LinkButton>
    </EmptyView>
  );
}

function snippet(url: string): string {
  return `import "github.com/grafana/pyroscope-go"

profiler, err := pyroscope.Start(pyroscope.Config{
    ApplicationName: "my-service",
    ServerAddress:   "${url}",
})
if err != nil {
    return err
}
defer profiler.Stop()`;
}

const getStyles = (theme: GrafanaTheme2) => ({
  code: css({ position: 'relative', width: 'min(640px, 100%)', pre: { margin: 0, padding: theme.spacing(2) } }),
  copy: css({ position: 'absolute', top: theme.spacing(1), right: theme.spacing(1) }),
});
