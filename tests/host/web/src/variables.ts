import { type DataSourceApi, type TimeRange } from '@grafana/data';
import { getTemplateSrv } from '@grafana/runtime';
import { firstValueFrom, isObservable } from 'rxjs';
import { findDataSource, loadDataSource } from './plugins';
import { variables } from './templatesrv';

export interface VariableModel {
  name: string;
  type: string;
  query?: unknown;
  datasource?: { uid?: string; type?: string };
  current?: { value?: string | string[] };
}

/** Gives every variable of a dashboard a value: the URL's, the saved one, else the first its query returns. */
export async function resolveVariables(list: VariableModel[], params: URLSearchParams, range: TimeRange) {
  variables.clear();
  for (const variable of list) {
    const saved = [variable.current?.value ?? []].flat()[0];
    const value = params.get(`var-${variable.name}`) ?? saved ?? (await firstValue(variable, range));
    if (value !== undefined) {
      variables.set(variable.name, value);
    }
  }
}

async function firstValue({ type, query, datasource }: VariableModel, range: TimeRange): Promise<string | undefined> {
  switch (type) {
    case 'datasource':
      return findDataSource({ type: String(query) })?.uid;
    case 'query':
      return firstOfQuery(query, datasource, range);
    default:
      return String(query ?? '').split(',')[0].trim();
  }
}

async function firstOfQuery(query: unknown, ref: VariableModel['datasource'], range: TimeRange) {
  const uid = getTemplateSrv().replace(ref?.uid ?? '');
  const { api } = await loadDataSource(findDataSource({ ...ref, uid })?.uid ?? uid);
  const [first] = await find(api, query, range);
  return first === undefined ? undefined : String(first.value ?? first.text);
}

interface VariableSupport {
  query?: (request: object) => unknown;
}

/** A data source lists values by its variable support or, the older way, by metricFindQuery. */
async function find(api: DataSourceApi, query: unknown, range: TimeRange) {
  const support = api.variables as VariableSupport | undefined;
  if (!support?.query) {
    return (await api.metricFindQuery?.(query, { range })) ?? [];
  }
  const target = { refId: 'variable', ...(query as object) };
  const answer = support.query({ targets: [target], range, scopedVars: {}, requestId: 'variable' });
  const { data } = (isObservable(answer) ? await firstValueFrom(answer) : await answer) as { data: any[] };
  const field = data[0]?.fields?.[0];
  return field ? Array.from(field.values as string[], (text) => ({ text, value: text })) : data;
}
