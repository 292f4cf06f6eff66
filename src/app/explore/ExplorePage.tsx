import { css } from '@emotion/css';
import { type GrafanaTheme2 } from '@grafana/data';
import { PluginPage } from '@grafana/runtime';
import { useStyles2 } from '@grafana/ui';
import React from 'react';
import { profileTypeLabel } from '../../model/profile_type';
import { millis } from '../../state/time';
import { EmptyView, ErrorView } from '../../ui/states';
import { TimeControls, useTimeRange } from '../../ui/TimeControls';
import { useRefresh } from '../../ui/useRefresh';
import { servicesUrl } from '../routes';
import { useUrlState } from '../useUrlState';
import { ProfilePane } from './ProfilePane';
import { SelectionBar } from './SelectionBar';
import { TimelinePane } from './TimelinePane';
import { useSelection } from './useSelection';

/** One service: its totals over time, the flame graph and the functions of the time range. */
export function ExplorePage() {
  const styles = useStyles2(getStyles);
  const [state, change] = useUrlState();
  const [tick, refresh] = useRefresh(state.refresh);
  const range = useTimeRange(state.from, state.until, tick);
  const { services, service, types, type, selection } = useSelection(state, millis(range), tick);

  return (
    <PluginPage
      pageNav={{ text: service || 'Explore', subTitle: profileTypeLabel(type), parentItem: { text: 'Services', url: servicesUrl } }}
      actions={
        <TimeControls
          range={range}
          interval={state.refresh}
          loading={services.loading}
          onRange={change}
          onInterval={(interval) => change({ refresh: interval })}
          onRefresh={refresh}
        />
      }
    >
      <div className={styles.page}>
        {services.error && <ErrorView title="The services cannot be listed" error={services.error} onRetry={refresh} />}
        <SelectionBar
          services={services.data?.map(({ name }) => name) ?? []}
          types={types}
          service={service}
          type={type}
          selector={state.selector}
          range={millis(range)}
          onChange={change}
        />
        {selection && <TimelinePane selection={selection} tick={tick} onRange={change} />}
        {selection && <ProfilePane selection={selection} tick={tick} choices={state} onChange={change} onRetry={refresh} />}
        {!selection && services.data && <EmptyView title={`No profiles ${service && `of ${service} `}in this time range`} />}
      </div>
    </PluginPage>
  );
}

const getStyles = (theme: GrafanaTheme2) => ({
  page: css({ display: 'flex', flexDirection: 'column', gap: theme.spacing(2) }),
});
