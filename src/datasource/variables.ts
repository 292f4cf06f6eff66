import {
  CustomVariableSupport,
  type DataQueryRequest,
  type DataQueryResponse,
  type MetricFindValue,
  type QueryEditorProps,
} from '@grafana/data';
import { type ComponentType } from 'react';
import { from, map, type Observable } from 'rxjs';
import { profileTypeLabel } from '../model/profile_type';
import { type MillisRange } from '../state/time';
import { type HearthDataSource } from './datasource';
import { DEFAULT_VARIABLE_QUERY, type HearthOptions, type HearthQuery, type HearthVariableQuery } from './types';
import { VariableEditor } from './VariableEditor';

/** Dashboard variables that list label values, label names or profile types. */
export class HearthVariables extends CustomVariableSupport<HearthDataSource, HearthVariableQuery> {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- Grafana types the editor by the base class of all data sources
  editor: ComponentType<QueryEditorProps<any, HearthQuery, HearthOptions, any>> = VariableEditor;

  constructor(private readonly datasource: HearthDataSource) {
    super();
  }

  override getDefaultQuery(): Partial<HearthVariableQuery> {
    return DEFAULT_VARIABLE_QUERY;
  }

  query(request: DataQueryRequest<HearthVariableQuery>): Observable<DataQueryResponse> {
    const range = request.range && { from: request.range.from.valueOf(), until: request.range.to.valueOf() };
    return from(this.values(request.targets[0], range)).pipe(map((data) => ({ data })));
  }

  private async values(query: HearthVariableQuery, range?: MillisRange): Promise<MetricFindValue[]> {
    const asValue = (text: string) => ({ text, value: text });
    const selector = query.selector ?? '';
    switch (query.kind) {
      case 'profileTypes':
        return (await this.datasource.profileTypes(range)).map(({ id }) => ({ text: profileTypeLabel(id), value: id }));
      case 'labelNames':
        return (await this.datasource.labelNames(selector, range)).map(asValue);
      default:
        return query.label ? (await this.datasource.labelValues(query.label, selector, range)).map(asValue) : [];
    }
  }
}
