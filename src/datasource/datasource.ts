import {
  type AdHocVariableFilter,
  type DataSourceGetTagValuesOptions,
  type DataSourceInstanceSettings,
  type MetricFindValue,
  type ScopedVars,
} from '@grafana/data';
import { DataSourceWithBackend, getTemplateSrv } from '@grafana/runtime';
import { type Operator, parseSelector, selectorProblem, withMatcher } from '../model/selector';
import { type MillisRange, millis, timeRange } from '../state/time';
import { interpolateSelector } from './interpolate';
import { DEFAULT_QUERY, type HearthOptions, type HearthQuery } from './types';
import { HearthVariables } from './variables';

const OPERATORS: readonly string[] = ['=', '!=', '=~', '!~'];

interface TypesAnswer {
  types: Array<{ id: string; label: string }> | null;
}

/** Queries run in the backend; here are variables, ad hoc filters and what the editor asks for. */
export class HearthDataSource extends DataSourceWithBackend<HearthQuery, HearthOptions> {
  constructor(settings: DataSourceInstanceSettings<HearthOptions>) {
    super(settings);
    this.variables = new HearthVariables(this);
  }

  override getDefaultQuery(): Partial<HearthQuery> {
    return DEFAULT_QUERY;
  }

  override filterQuery(query: HearthQuery): boolean {
    return Boolean(query.profileTypeId) && query.hide !== true;
  }

  override applyTemplateVariables(
    query: HearthQuery,
    scopedVars: ScopedVars,
    filters: AdHocVariableFilter[] = []
  ): HearthQuery {
    const templates = getTemplateSrv();
    const selector = interpolateSelector(query.labelSelector ?? '', templates, scopedVars);
    return {
      ...query,
      profileTypeId: templates.replace(query.profileTypeId, scopedVars),
      labelSelector: withFilters(selector, filters),
      groupBy: query.groupBy?.map((name) => templates.replace(name, scopedVars)).filter((name) => name !== ''),
    };
  }

  override getQueryDisplayText(query: HearthQuery): string {
    return `${query.profileTypeId} ${query.labelSelector ?? ''}`;
  }

  async profileTypes(range?: MillisRange): Promise<Array<{ id: string; label: string }>> {
    const { types } = await this.getResource<TypesAnswer>('profileTypes', { ...(range ?? lastDay()) });
    return types ?? [];
  }

  async labelNames(selector: string, range?: MillisRange): Promise<string[]> {
    const parameters = { ...(range ?? lastDay()), selector: this.fill(selector) };
    return (await this.getResource<{ names: string[] | null }>('labelNames', parameters)).names ?? [];
  }

  async labelValues(name: string, selector: string, range?: MillisRange): Promise<string[]> {
    const parameters = { ...(range ?? lastDay()), name: getTemplateSrv().replace(name), selector: this.fill(selector) };
    return (await this.getResource<{ values: string[] | null }>('labelValues', parameters)).values ?? [];
  }

  override async getTagKeys(): Promise<MetricFindValue[]> {
    return (await this.labelNames('')).map((text) => ({ text }));
  }

  override async getTagValues({ key }: DataSourceGetTagValuesOptions<HearthQuery>): Promise<MetricFindValue[]> {
    return (await this.labelValues(key, '')).map((text) => ({ text }));
  }

  private fill(selector: string): string {
    return interpolateSelector(selector, getTemplateSrv());
  }
}

/** Ad hoc filters as further matchers; a selector that does not parse is left for the server to refuse. */
function withFilters(selector: string, filters: AdHocVariableFilter[]): string {
  if (selectorProblem(selector) !== null) {
    return selector;
  }
  const usable = filters.filter(({ operator }) => OPERATORS.includes(operator));
  const narrowed = usable.reduce(
    (text, { key, operator, value }) => withMatcher(text, { name: key, operator: operator as Operator, value }),
    selector
  );
  return parseSelector(narrowed).length === 0 ? '{}' : narrowed;
}

/** The time that editors without a time range of their own look at. */
function lastDay(): MillisRange {
  return millis(timeRange('now-24h', 'now'));
}
