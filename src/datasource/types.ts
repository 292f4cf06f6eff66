import { type DataSourceJsonData } from '@grafana/data';
import { type DataQuery } from '@grafana/schema';

export type QueryType = 'flamegraph' | 'series' | 'both';

/** A query as dashboards store it. The Go side is pkg/datasource. */
export interface HearthQuery extends DataQuery {
  queryType?: QueryType;
  profileTypeId: string;
  labelSelector: string;
  groupBy?: string[];
  /** 0 or absent: the server's default. */
  maxNodes?: number;
  /** Largest number of series; 0 or absent: all. */
  limit?: number;
}

export interface HearthOptions extends DataSourceJsonData {
  tenantId?: string;
}

export interface HearthSecrets {
  basicAuthPassword?: string;
  token?: string;
}

/** What a dashboard variable lists. */
export interface HearthVariableQuery extends DataQuery {
  queryType?: QueryType;
  kind: 'labelValues' | 'labelNames' | 'profileTypes';
  /** The label whose values are wanted. */
  label?: string;
  selector?: string;
}

export const DEFAULT_QUERY: Partial<HearthQuery> = {
  queryType: 'both',
  profileTypeId: 'process_cpu:cpu:nanoseconds:cpu:nanoseconds',
  labelSelector: '{}',
  groupBy: [],
};

export const DEFAULT_VARIABLE_QUERY: Omit<HearthVariableQuery, 'refId'> = {
  kind: 'labelValues',
  label: 'service_name',
  selector: '',
};
