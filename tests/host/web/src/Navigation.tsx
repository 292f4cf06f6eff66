import { css } from '@emotion/css';
import { type GrafanaTheme2, type PluginMeta } from '@grafana/data';
import { config, getBackendSrv } from '@grafana/runtime';
import { useStyles2 } from '@grafana/ui';
import { useEffect, useState } from 'react';
import { NavLink } from 'react-router-dom';

interface Item {
  to: string;
  text: string;
}

/** The links at the left edge: the app's pages, what Grafana itself would offer, and the settings. */
export function Navigation() {
  const styles = useStyles2(getStyles);
  const [items, setItems] = useState<Item[]>([]);
  useEffect(() => {
    listPages().then(setItems);
  }, []);
  return (
    <nav className={styles.nav}>
      <NavLink exact to="/" className={styles.title}>
        Plugin host
      </NavLink>
      {items.map(({ to, text }) => (
        <NavLink key={to} to={to} className={styles.link} activeClassName={styles.active}>
          {text}
        </NavLink>
      ))}
      <small className={styles.version}>@grafana {String(config.buildInfo.version)}</small>
    </nav>
  );
}

/** Every page of the host that leads somewhere. */
export async function listPages(): Promise<Item[]> {
  const items: Item[] = [];
  const settings: Item[] = [];
  for (const id of Object.keys(config.apps)) {
    const meta: PluginMeta = await getBackendSrv().get(`/api/plugins/${id}/settings`);
    for (const include of meta.includes ?? []) {
      if (include.type === 'page' && include.addToNav && include.path) {
        items.push({ to: include.path, text: include.name });
      }
    }
    settings.push({ to: `/plugins/${id}`, text: `${meta.name} settings` });
  }
  items.push({ to: '/explore', text: 'Data source query' });
  for (const { url, title } of await getBackendSrv().get('/api/search')) {
    items.push({ to: url, text: title });
  }
  for (const { uid, name } of Object.values(config.datasources)) {
    settings.push({ to: `/connections/datasources/edit/${uid}`, text: `Data source ${name}` });
  }
  return [...items, ...settings];
}

const getStyles = (theme: GrafanaTheme2) => ({
  nav: css({
    width: 200,
    flex: 'none',
    display: 'flex',
    flexDirection: 'column',
    gap: theme.spacing(0.5),
    padding: theme.spacing(2, 1),
    background: theme.colors.background.primary,
    borderRight: `1px solid ${theme.colors.border.weak}`,
  }),
  title: css({ padding: theme.spacing(0.5, 1, 1.5), fontWeight: theme.typography.fontWeightMedium }),
  link: css({
    padding: theme.spacing(0.5, 1),
    borderRadius: theme.shape.radius.default,
    color: theme.colors.text.secondary,
    '&:hover': { background: theme.colors.action.hover, color: theme.colors.text.primary },
  }),
  active: css({ background: theme.colors.action.selected, color: theme.colors.text.primary }),
  version: css({ marginTop: 'auto', padding: theme.spacing(1), color: theme.colors.text.secondary }),
});
