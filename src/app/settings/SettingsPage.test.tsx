import { type AppPluginMeta, type PluginConfigPageProps } from '@grafana/data';
import { render, screen, waitFor } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import React from 'react';
import { fakeBackend, HttpFailure } from '../../testing/backend';
import { type AppSettings } from './settings';
import { SettingsPage } from './SettingsPage';

const STATUS = { mode: 'embedded-peer', url: 'http://127.0.0.1:4040', ready: true, version: '1.2.3' };

function open(answers: Record<string, unknown>) {
  const backend = fakeBackend({ status: STATUS, ...answers });
  const plugin = { meta: { enabled: true, pinned: false, jsonData: { tenantId: 'team' } } };
  const props = { plugin, query: {} } as unknown as PluginConfigPageProps<AppPluginMeta<AppSettings>>;
  render(<SettingsPage {...props} />);
  return backend;
}

it('says which server is in use', async () => {
  open({});
  const status = await screen.findByTestId('hearth-status');
  expect(status).toHaveTextContent('another process of this plugin');
  expect(status).toHaveTextContent('http://127.0.0.1:4040');
  expect(status).toHaveAttribute('data-mode', 'embedded-peer');
});

it('refuses what is no URL', async () => {
  open({});
  await userEvent.type(screen.getByTestId('hearth-config-url'), 'nowhere');
  expect(screen.getByText('"nowhere" is not a URL such as http://hearth:4040')).toBeInTheDocument();
  expect(screen.getByRole('button', { name: 'Save' })).toBeDisabled();
});

it('saves settings and secrets apart, and shows when that fails', async () => {
  const backend = open({ settings: new HttpFailure(403, { message: 'not allowed' }) });
  await userEvent.type(screen.getByTestId('hearth-config-url'), 'http://far:4040');
  await userEvent.type(screen.getByLabelText('Bearer token'), 'secret');
  await userEvent.click(screen.getByRole('button', { name: 'Save' }));
  await waitFor(() => expect(backend.asked('settings')).toHaveLength(1));
  expect(backend.asked('settings')[0].data).toEqual({
    enabled: true,
    pinned: false,
    jsonData: { tenantId: 'team', serverUrl: 'http://far:4040' },
    secureJsonData: { token: 'secret' },
  });
  expect(await screen.findByTestId('hearth-error')).toHaveTextContent('not allowed');
});
