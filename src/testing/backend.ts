// A stand-in for Grafana's request service: answers by resource path, and keeps what was asked.
import { type BackendSrv, type BackendSrvRequest, setBackendSrv } from '@grafana/runtime';
import { of, throwError } from 'rxjs';

export interface FakeBackend {
  requests: BackendSrvRequest[];
  /** Requests for one resource. */
  asked: (resource: string) => BackendSrvRequest[];
}

/** A function answer is called with the request; an Error is what Grafana's service throws. */
export type Answers = Record<string, unknown>;

export class HttpFailure {
  constructor(
    readonly status: number,
    readonly data: { message: string; code?: string }
  ) {}
}

export function fakeBackend(answers: Answers): FakeBackend {
  const requests: BackendSrvRequest[] = [];
  const resourceOf = (request: BackendSrvRequest) => request.url.split('/').pop() ?? '';
  const fetch = (request: BackendSrvRequest) => {
    requests.push(request);
    const given = answers[resourceOf(request)];
    const answer = typeof given === 'function' ? given(request) : given;
    if (answer === undefined || answer instanceof HttpFailure) {
      return throwError(() => answer ?? new HttpFailure(404, { message: `no answer for ${request.url}` }));
    }
    return of({ data: answer });
  };
  setBackendSrv({ fetch } as unknown as BackendSrv);
  return { requests, asked: (resource) => requests.filter((request) => resourceOf(request) === resource) };
}
