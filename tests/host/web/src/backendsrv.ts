import { type BackendSrvRequest, type FetchResponse } from '@grafana/runtime';
import { lastValueFrom, Observable } from 'rxjs';

/** Grafana's HTTP client reduced to what plugins and @grafana packages call. */
export class HostBackendSrv {
  get = (url: string, params?: object, requestId?: string) => this.request({ method: 'GET', url, params, requestId });
  delete = (url: string, data?: unknown) => this.request({ method: 'DELETE', url, data });
  post = (url: string, data?: unknown) => this.request({ method: 'POST', url, data });
  put = (url: string, data?: unknown) => this.request({ method: 'PUT', url, data });
  patch = (url: string, data?: unknown) => this.request({ method: 'PATCH', url, data });

  request = async (options: BackendSrvRequest) => (await lastValueFrom(this.fetch<any>(options))).data;
  datasourceRequest = (options: BackendSrvRequest) => lastValueFrom(this.fetch(options));

  fetch = <T>(options: BackendSrvRequest) =>
    new Observable<FetchResponse<T>>((subscriber) => {
      const abort = new AbortController();
      options.abortSignal?.addEventListener('abort', () => abort.abort());
      send<T>(options, abort.signal).then(
        (response) => {
          subscriber.next(response);
          subscriber.complete();
        },
        (error) => subscriber.error(error)
      );
      return () => abort.abort();
    });
}

async function send<T>(options: BackendSrvRequest, signal: AbortSignal): Promise<FetchResponse<T>> {
  const response = await fetch(address(options), {
    method: options.method ?? 'GET',
    headers: { ...(options.data === undefined ? {} : { 'Content-Type': 'application/json' }), ...options.headers },
    body: options.data === undefined ? undefined : JSON.stringify(options.data),
    signal,
  }).catch((error: Error) => {
    throw { status: 0, statusText: error.message, data: { message: error.message }, config: options };
  });
  const text = await response.text();
  const { status, statusText, ok, headers, redirected, type, url } = response;
  const data = parse(text, options.responseType);
  if (!ok) {
    throw { status, statusText, data, config: options, traceId: undefined };
  }
  return { data: data as T, status, statusText, ok, headers, redirected, type, url, config: options };
}

function address({ url, params }: BackendSrvRequest) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params ?? {})) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null) {
        query.append(key, String(one));
      }
    }
  }
  const absolute = /^https?:/.test(url) ? url : `/${url.replace(/^\//, '')}`;
  const text = query.toString();
  return text ? `${absolute}${absolute.includes('?') ? '&' : '?'}${text}` : absolute;
}

function parse(text: string, responseType?: string): unknown {
  if (responseType === 'text') {
    return text;
  }
  try {
    return JSON.parse(text);
  } catch {
    return text === '' ? {} : { message: text };
  }
}
