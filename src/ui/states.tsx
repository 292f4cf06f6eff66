import { css } from '@emotion/css';
import { type GrafanaTheme2 } from '@grafana/data';
import { Alert, Button, Icon, type IconName, Spinner, useStyles2 } from '@grafana/ui';
import React, { type ReactNode } from 'react';

/** Shown where an answer holds nothing; children say what can be done about it. */
export function EmptyView({ title, icon = 'fire', children }: { title: string; icon?: IconName; children?: ReactNode }) {
  const styles = useStyles2(getStyles);
  return (
    <div className={styles.center} data-testid="hearth-empty" role="status">
      <Icon name={icon} size="xxxl" className={styles.icon} />
      <h4>{title}</h4>
      {children}
    </div>
  );
}

/** Shown where a request failed, with the server's own sentence. */
export function ErrorView({ title, error, onRetry }: { title: string; error: Error; onRetry?: () => void }) {
  return (
    <div data-testid="hearth-error">
      <Alert severity="error" title={title}>
        <p>{error.message}</p>
        {onRetry && (
          <Button size="sm" variant="secondary" icon="sync" onClick={onRetry}>
            Try again
          </Button>
        )}
      </Alert>
    </div>
  );
}

export function LoadingView({ text }: { text: string }) {
  const styles = useStyles2(getStyles);
  return (
    <div className={styles.center} data-testid="hearth-loading" role="status">
      <Spinner size="xl" />
      <span className={styles.muted}>{text}</span>
    </div>
  );
}

const getStyles = (theme: GrafanaTheme2) => ({
  center: css({
    display: 'flex',
    flexDirection: 'column',
    alignItems: 'center',
    justifyContent: 'center',
    gap: theme.spacing(1),
    padding: theme.spacing(6, 2),
  }),
  icon: css({ color: theme.colors.text.disabled }),
  muted: css({ color: theme.colors.text.secondary }),
});
