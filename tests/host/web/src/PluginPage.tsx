import { css } from '@emotion/css';
import { type GrafanaTheme2 } from '@grafana/data';
import { type PluginPageProps } from '@grafana/runtime';
import { useStyles2 } from '@grafana/ui';
import { createContext, useContext } from 'react';

/** What a page without an own title is called: its name in the navigation. */
export const NavTitle = createContext('');

/** The frame Grafana draws around a plugin's page: title, subtitle, actions, content. */
export function PluginPage(props: PluginPageProps) {
  const { pageNav, subTitle, actions, info, children, renderTitle } = props;
  const styles = useStyles2(getStyles);
  const navTitle = useContext(NavTitle);
  const title = pageNav?.text ?? navTitle;
  return (
    <div className={styles.page}>
      {(title || actions) && (
        <header className={styles.header}>
          {renderTitle ? renderTitle(title) : <h1>{title}</h1>}
          <span className={styles.info}>{info?.map((item) => <span key={item.label}>{item.value}</span>)}</span>
          {actions}
        </header>
      )}
      {(subTitle ?? pageNav?.subTitle) && <p className={styles.subtitle}>{subTitle ?? pageNav?.subTitle}</p>}
      {children}
    </div>
  );
}

const getStyles = (theme: GrafanaTheme2) => ({
  page: css({
    flex: 1,
    display: 'flex',
    flexDirection: 'column',
    padding: theme.spacing(3),
    background: theme.colors.background.primary,
  }),
  header: css({ display: 'flex', alignItems: 'center', gap: theme.spacing(2), marginBottom: theme.spacing(2) }),
  info: css({ flex: 1, display: 'flex', gap: theme.spacing(2) }),
  subtitle: css({ marginTop: theme.spacing(-1.5), color: theme.colors.text.secondary }),
});
