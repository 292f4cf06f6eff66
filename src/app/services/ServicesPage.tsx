import { PluginPage } from '@grafana/runtime';
import { FilterInput } from '@grafana/ui';
import React, { useState } from 'react';
import { api } from '../../api/client';
import { millis } from '../../state/time';
import { EmptyView, ErrorView, LoadingView } from '../../ui/states';
import { TimeControls, useTimeRange } from '../../ui/TimeControls';
import { useLoad } from '../../ui/useLoad';
import { useRefresh } from '../../ui/useRefresh';
import { GettingStarted } from './GettingStarted';
import { ServicesTable } from './ServicesTable';
import { useCpu } from './useCpu';
import { useUrlState } from '../useUrlState';

/** Which services send profiles, what kinds, and how busy each is. */
export function ServicesPage() {
  const [state, change] = useUrlState();
  const [wanted, setWanted] = useState('');
  const [tick, refresh] = useRefresh(state.refresh);
  const range = useTimeRange(state.from, state.until, tick);
  const { from, until } = millis(range);

  const services = useLoad(`${from} ${until} ${tick}`, (signal) => api.services({ from, until }, signal));
  const cpu = useCpu(services.data ?? [], { from, until });
  const shown = (services.data ?? []).filter(({ name }) => name.toLowerCase().includes(wanted.trim().toLowerCase()));

  return (
    <PluginPage
      subTitle="Services that sent profiles in the time range"
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
      {services.error && <ErrorView title="The services cannot be listed" error={services.error} onRetry={refresh} />}
      {!services.data && services.loading && <LoadingView text="Looking for services" />}
      {services.data?.length === 0 && <GettingStarted />}
      {services.data && services.data.length > 0 && (
        <>
          <FilterInput value={wanted} onChange={setWanted} placeholder="Filter services" width={40} escapeRegex={false} />
          {shown.length > 0 ? (
            <ServicesTable services={shown} cpu={cpu} range={{ from, until }} raw={state} />
          ) : (
            <EmptyView title={`No service is called "${wanted}"`} icon="search" />
          )}
        </>
      )}
    </PluginPage>
  );
}
