import { type BackendSrv, setBackendSrv } from '@grafana/runtime';
import { Observable } from 'rxjs';
import { fakeBackend, HttpFailure } from '../testing/backend';
import { api, saveSettings } from './client';

const SELECTION = { service: 'api', type: 'a:b:c:d:e', selector: '', from: 1, until: 2 };

it('asks the app’s resources and leaves empty parameters out', async () => {
  const backend = fakeBackend({ flamegraph: { names: [], levels: [], total: 0, maxSelf: 0, unit: 'count' } });
  await api.flameGraph(SELECTION);
  expect(backend.requests[0]).toMatchObject({
    url: '/api/plugins/hearth-profiles-app/resources/flamegraph',
    params: { service: 'api', type: 'a:b:c:d:e', from: 1, until: 2, maxNodes: 16384 },
    showErrorAlert: false,
  });
  expect(backend.requests[0].params).not.toHaveProperty('selector');
});

it('reads null lists, as Go writes empty ones, as empty', async () => {
  fakeBackend({ services: { services: null }, labelNames: { names: null }, labelValues: { values: ['x'] } });
  expect(await api.services({ from: 1, until: 2 })).toEqual([]);
  expect(await api.labelNames({ from: 1, until: 2, selector: '{}' })).toEqual([]);
  expect(await api.labelValues({ name: 'n', from: 1, until: 2, selector: '{}' })).toEqual(['x']);
});

it('joins group-by labels', async () => {
  const backend = fakeBackend({ series: { series: [], step: 15, unit: 'count' } });
  await api.series({ ...SELECTION, step: 15, groupBy: ['a', 'b'] });
  expect(backend.requests[0].params).toMatchObject({ step: 15, groupBy: 'a,b' });
});

it('hands the server’s sentence and code on', async () => {
  fakeBackend({ functions: new HttpFailure(400, { message: 'type is required', code: 'invalid_argument' }) });
  await expect(api.functions(SELECTION)).rejects.toMatchObject({
    message: 'type is required',
    status: 400,
    code: 'invalid_argument',
  });
});

it('cancels the request when its signal is aborted', async () => {
  const cancelled = jest.fn();
  setBackendSrv({ fetch: () => new Observable(() => cancelled) } as unknown as BackendSrv);
  const controller = new AbortController();
  const answer = api.status(controller.signal);
  controller.abort();
  await expect(answer).rejects.toMatchObject({ code: 'canceled' });
  expect(cancelled).toHaveBeenCalledTimes(1);
});

it('posts settings to Grafana', async () => {
  const backend = fakeBackend({ settings: {} });
  const settings = { enabled: true, pinned: true, jsonData: { serverUrl: 'http://x' }, secureJsonData: {} };
  await saveSettings(settings);
  expect(backend.requests[0]).toMatchObject({
    url: '/api/plugins/hearth-profiles-app/settings',
    method: 'POST',
    data: settings,
  });
});
