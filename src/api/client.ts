// The one client of the app's resources. Everything the pages know about the
// server comes through here; errors arrive as ApiError with the server's sentence.
import { type BackendSrvRequest, type FetchResponse, getBackendSrv } from '@grafana/runtime';
import { type Observable } from 'rxjs';
import {
  type FlameGraphAnswer,
  type FunctionsAnswer,
  type ProfileTypeAnswer,
  type Selection,
  type SeriesAnswer,
  type Service,
  type Status,
} from './types';

const RESOURCES = `/api/plugins/${PLUGIN_ID}/resources`;

/** Functions beyond a graph of this many nodes are too small to see on any screen. */
const MAX_NODES = 16_384;

type Parameters = Record<string, string | number | undefined>;

/** What a refused or failed request said. code is the server's ("invalid_argument"), "" when it gave none. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly code: string
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

export const api = {
  status: (signal?: AbortSignal) => get<Status>('status', {}, signal),

  services: async (range: { from: number; until: number }, signal?: AbortSignal) =>
    (await get<{ services: Service[] | null }>('services', range, signal)).services ?? [],

  flameGraph: (selection: Selection, signal?: AbortSignal) =>
    get<FlameGraphAnswer>('flamegraph', { ...selection, maxNodes: MAX_NODES }, signal),

  functions: (selection: Selection, signal?: AbortSignal) =>
    get<FunctionsAnswer>('functions', { ...selection }, signal),

  series: (selection: Selection & { step: number; groupBy?: string[] }, signal?: AbortSignal) =>
    get<SeriesAnswer>('series', { ...selection, groupBy: selection.groupBy?.join(',') }, signal),

  profileTypes: async (range: { from: number; until: number }, signal?: AbortSignal) =>
    (await get<{ types: ProfileTypeAnswer[] | null }>('profileTypes', range, signal)).types ?? [],

  labelNames: async (parameters: { from: number; until: number; selector: string }, signal?: AbortSignal) =>
    (await get<{ names: string[] | null }>('labelNames', parameters, signal)).names ?? [],

  labelValues: async (
    parameters: { name: string; from: number; until: number; selector: string },
    signal?: AbortSignal
  ) => (await get<{ values: string[] | null }>('labelValues', parameters, signal)).values ?? [],
};

async function get<T>(path: string, parameters: Parameters, signal?: AbortSignal): Promise<T> {
  const params = Object.fromEntries(
    Object.entries(parameters).filter(([, value]) => value !== undefined && value !== '')
  );
  const answer = await fetchOnce<T>({ url: `${RESOURCES}/${path}`, method: 'GET', params, showErrorAlert: false }, signal);
  return answer.data;
}

/** Saves the app's settings the way Grafana's own plugin page does. */
export async function saveSettings(settings: {
  enabled: boolean;
  pinned: boolean;
  jsonData: object;
  secureJsonData: object;
}): Promise<void> {
  await fetchOnce({ url: `/api/plugins/${PLUGIN_ID}/settings`, method: 'POST', data: settings, showErrorAlert: false });
}

/** The first answer of a request; aborting the signal cancels the request itself. */
function fetchOnce<T>(request: BackendSrvRequest, signal?: AbortSignal): Promise<FetchResponse<T>> {
  const answers: Observable<FetchResponse<T>> = getBackendSrv().fetch<T>(request);
  return new Promise((resolve, reject) => {
    const subscription = answers.subscribe({
      next: resolve,
      error: (error: unknown) => reject(asApiError(error)),
      complete: () => reject(new ApiError('the request was cancelled', 0, 'canceled')),
    });
    signal?.addEventListener('abort', () => {
      subscription.unsubscribe();
      reject(new ApiError('the request was cancelled', 0, 'canceled'));
    });
  });
}

interface FetchFailure {
  status?: number;
  statusText?: string;
  message?: string;
  data?: { message?: string; code?: string };
}

function asApiError(error: unknown): ApiError {
  const failure = (typeof error === 'object' && error !== null ? error : {}) as FetchFailure;
  const message = failure.data?.message ?? failure.message ?? failure.statusText ?? String(error);
  return new ApiError(message, failure.status ?? 0, failure.data?.code ?? '');
}
