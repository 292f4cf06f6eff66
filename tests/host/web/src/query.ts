import {
  CoreApp,
  type DataQuery,
  type DataQueryRequest,
  type DataQueryResponse,
  LoadingState,
  type PanelData,
  type TimeRange,
  toDataFrame,
} from '@grafana/data';
import { getTemplateSrv } from '@grafana/runtime';
import { from, lastValueFrom } from 'rxjs';
import { findDataSource, loadDataSource } from './plugins';

let requests = 0;

/** Sends queries to one data source as a panel or Explore would, and waits for the whole answer. */
export async function runQueries(queries: DataQuery[], range: TimeRange, app = CoreApp.Explore): Promise<PanelData> {
  const uid = dataSourceOf(queries);
  const { api } = await loadDataSource(uid);
  const request: DataQueryRequest = {
    app,
    requestId: `host-${++requests}`,
    targets: queries.map((q) => ({ ...q, datasource: { uid, type: api.type } })),
    range,
    interval: '15s',
    intervalMs: 15_000,
    maxDataPoints: 1000,
    scopedVars: {},
    timezone: 'browser',
    startTime: Date.now(),
  };
  const answer: DataQueryResponse = await lastValueFrom(from(api.query(request)));
  const errors = answer.errors ?? (answer.error ? [answer.error] : []);
  return {
    state: errors.length > 0 ? LoadingState.Error : LoadingState.Done,
    series: answer.data.map((frame) => toDataFrame(frame)),
    timeRange: range,
    errors,
    error: errors[0],
    request,
  };
}

function dataSourceOf(queries: DataQuery[]): string {
  const ref = queries.find((q) => q.datasource)?.datasource;
  const found = findDataSource(ref?.uid ? { ...ref, uid: getTemplateSrv().replace(ref.uid) } : ref);
  if (!found) {
    throw new Error(`data source ${ref?.uid ?? ref?.type} is not known`);
  }
  return found.uid;
}
