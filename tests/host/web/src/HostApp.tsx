import { css } from '@emotion/css';
import { type GrafanaTheme2, ThemeContext } from '@grafana/data';
import { config, locationService } from '@grafana/runtime';
import { ErrorBoundaryAlert, GlobalStyles, ModalsProvider, useStyles2 } from '@grafana/ui';
import { useEffect } from 'react';
import { Route, Router, Switch } from 'react-router-dom';
import { CompatRouter } from 'react-router-dom-v5-compat';
import { Navigation } from './Navigation';
import { AppPage } from './pages/AppPage';
import { ConfigPage } from './pages/ConfigPage';
import { DashboardPage } from './pages/DashboardPage';
import { DataSourcePage } from './pages/DataSourcePage';
import { ExplorePage } from './pages/ExplorePage';
import { HomePage } from './pages/HomePage';

export function HostApp() {
  useEffect(interceptLinks, []);
  return (
    <ThemeContext.Provider value={config.theme2}>
      <ModalsProvider>
        <GlobalStyles />
        <Router history={locationService.getHistory()}>
          <CompatRouter>
            <Frame />
          </CompatRouter>
        </Router>
        <div id="grafana-portal-container" />
      </ModalsProvider>
    </ThemeContext.Provider>
  );
}

function Frame() {
  const styles = useStyles2(getStyles);
  return (
    <div className={styles.frame}>
      <Navigation />
      <main className={styles.main}>
        <ErrorBoundaryAlert>
          <Switch>
            <Route path="/a/:id" component={AppPage} />
            <Route path="/plugins/:id" component={ConfigPage} />
            <Route path="/explore" component={ExplorePage} />
            <Route path="/d/:uid" component={DashboardPage} />
            <Route path="/connections/datasources/edit/:uid" component={DataSourcePage} />
            <Route component={HomePage} />
          </Switch>
        </ErrorBoundaryAlert>
      </main>
    </div>
  );
}

/** Plain links inside the host change the route instead of loading the page again, as in Grafana. */
function interceptLinks() {
  const onClick = (event: MouseEvent) => {
    const link = (event.target as Element).closest?.('a');
    const href = link?.getAttribute('href');
    const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.defaultPrevented;
    if (plain && href?.startsWith('/') && !href.startsWith('/public/') && !link?.getAttribute('target')) {
      event.preventDefault();
      locationService.push(href);
    }
  };
  document.addEventListener('click', onClick);
  return () => document.removeEventListener('click', onClick);
}

const getStyles = (theme: GrafanaTheme2) => ({
  frame: css({
    display: 'flex',
    height: '100%',
    background: theme.colors.background.canvas,
    color: theme.colors.text.primary,
  }),
  main: css({ flex: 1, minWidth: 0, overflow: 'auto', display: 'flex', flexDirection: 'column' }),
});
