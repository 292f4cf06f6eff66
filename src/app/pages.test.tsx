import { type AppRootProps } from '@grafana/data';
import { type BackendSrvRequest, locationService } from '@grafana/runtime';
import { render, screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import React from 'react';
import { type Answers, fakeBackend, HttpFailure } from '../testing/backend';
import { levelsOfStacks } from '../testing/stacks';
import { App } from './App';

const CPU = 'process_cpu:cpu:nanoseconds:cpu:nanoseconds';
const HEAP = 'memory:inuse_space:bytes:space:bytes';

const ANSWERS: Answers = {
  status: { mode: 'embedded', url: 'http://127.0.0.1:4040', ready: true },
  services: { services: [{ name: 'api', profileTypes: [HEAP, CPU] }, { name: 'web', profileTypes: [CPU] }] },
  series: ({ params }: BackendSrvRequest) => ({
    step: params?.step,
    unit: 'nanoseconds',
    series: [{ labels: { service_name: 'api' }, points: [[Number(params?.until) - 60_000, 3e9]] }],
  }),
  flamegraph: { ...levelsOfStacks('main;work 6\nmain;idle 4'), total: 10, maxSelf: 6, unit: 'nanoseconds' },
  functions: { functions: [{ name: 'work', self: 6, total: 6 }], total: 10, unit: 'nanoseconds' },
};

function open(path: string, answers: Answers = ANSWERS) {
  const backend = fakeBackend(answers);
  locationService.push(`/a/hearth-profiles-app/${path}`);
  render(<App {...({} as AppRootProps)} />);
  return backend;
}

const search = () => locationService.getSearchObject();

describe('services', () => {
  it('lists services with their types and activity, and leads to one', async () => {
    const backend = open('services?from=now-3h&until=now');
    const row = await screen.findByTestId('hearth-service-row-api');
    expect(within(row).getAllByRole('link').map((link) => link.textContent)).toEqual(['api', 'CPU time', 'In-use bytes']);
    expect(await within(row).findByText('3 s CPU time')).toBeInTheDocument();
    // One request for all services that share their main type.
    expect(backend.asked('series')).toHaveLength(1);
    expect(backend.asked('series')[0].params).toMatchObject({ groupBy: 'service_name', type: CPU });

    await userEvent.click(within(row).getByText('In-use bytes'));
    expect(locationService.getLocation().pathname).toBe('/a/hearth-profiles-app/explore');
    expect(search()).toMatchObject({ service: 'api', type: HEAP, from: 'now-3h', until: 'now' });
  });

  it('tells how to send profiles when there are none', async () => {
    open('services', { ...ANSWERS, services: { services: [] } });
    const empty = await screen.findByTestId('hearth-empty');
    expect(await within(empty).findByText(/ServerAddress: "http:\/\/127\.0\.0\.1:4040"/)).toBeInTheDocument();
  });

  it('shows the server’s sentence when it fails', async () => {
    open('services', { ...ANSWERS, services: new HttpFailure(503, { message: 'the embedded server is not ready' }) });
    expect(await screen.findByTestId('hearth-error')).toHaveTextContent('the embedded server is not ready');
  });
});

describe('explore', () => {
  it('shows timeline, flame graph and table of the selection in the URL', async () => {
    const backend = open('explore?service=api&from=now-1h&until=now&selector={pod%3D"a"}');
    expect(await screen.findByTestId('hearth-flamegraph-canvas')).toBeInTheDocument();
    expect(await screen.findByTestId('hearth-timeline')).toHaveAttribute('data-points', '1');
    expect(within(screen.getByTestId('hearth-top-table')).getByText('work')).toBeInTheDocument();
    expect(backend.asked('flamegraph')[0].params).toMatchObject({ service: 'api', type: CPU, selector: '{pod="a"}' });
  });

  it('keeps search and zoom in the URL', async () => {
    open('explore?service=api&from=now-1h&until=now');
    await userEvent.type(await screen.findByTestId('hearth-flamegraph-search'), 'wor');
    await waitFor(() => expect(search()).toMatchObject({ q: 'wor' }));
    const canvas = screen.getByTestId('hearth-flamegraph-canvas');
    canvas.focus();
    await userEvent.keyboard('{ArrowDown}{ArrowDown}{ArrowDown}{Enter}');
    expect(canvas).toHaveAttribute('data-focus', 'work');
    expect(search().focus).toBeTruthy();
  });

  it('says so when nothing matches', async () => {
    const empty = { names: ['total'], levels: [], total: 0, maxSelf: 0, unit: 'nanoseconds' };
    open('explore?service=api&from=now-1h&until=now', { ...ANSWERS, flamegraph: empty });
    expect(await screen.findByText('No CPU time profile matches')).toBeInTheDocument();
  });

  it('shows what the server refused', async () => {
    const refused = new HttpFailure(400, { message: 'selector: label name "1x" is not valid', code: 'invalid_argument' });
    open('explore?service=api&from=now-1h&until=now', { ...ANSWERS, flamegraph: refused });
    expect(await screen.findByText('selector: label name "1x" is not valid')).toBeInTheDocument();
  });
});
