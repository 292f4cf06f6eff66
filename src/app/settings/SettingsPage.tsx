import { type AppPluginMeta, type PluginConfigPageProps } from '@grafana/data';
import { locationService } from '@grafana/runtime';
import { Button, Field, FieldSet, Input, SecretInput } from '@grafana/ui';
import React, { useState } from 'react';
import { saveSettings } from '../../api/client';
import { urlProblem } from '../../model/url';
import { ErrorView } from '../../ui/states';
import { type AppSecrets, type AppSettings } from './settings';
import { ServerStatus } from './ServerStatus';

type Meta = AppPluginMeta<AppSettings> & { secureJsonFields?: Record<string, boolean> };

/** Which server the app asks, with what credentials; empty: the one the plugin runs itself. */
export function SettingsPage({ plugin }: PluginConfigPageProps<AppPluginMeta<AppSettings>>) {
  const meta: Meta = plugin.meta;
  const [settings, setSettings] = useState<AppSettings>(meta.jsonData ?? {});
  const [secrets, setSecrets] = useState<AppSecrets>({});
  const [kept, setKept] = useState<Record<string, boolean>>(meta.secureJsonFields ?? {});
  const [error, setError] = useState<Error>();
  const [saving, setSaving] = useState(false);
  const problem = urlProblem(settings.serverUrl ?? '');

  const set = (change: AppSettings) => setSettings({ ...settings, ...change });
  const secret = (name: keyof AppSecrets) => ({
    isConfigured: kept[name] === true,
    value: secrets[name] ?? '',
    width: 60,
    onChange: (event: React.ChangeEvent<HTMLInputElement>) => setSecrets({ ...secrets, [name]: event.target.value }),
    onReset: () => {
      setKept({ ...kept, [name]: false });
      setSecrets({ ...secrets, [name]: '' });
    },
  });
  const save = async () => {
    setSaving(true);
    try {
      const { enabled = true, pinned = true } = meta;
      await saveSettings({ enabled, pinned, jsonData: { ...meta.jsonData, ...settings }, secureJsonData: secrets });
      // Grafana reads plugin settings once; a reload makes it take the new ones.
      const { pathname, search } = locationService.getLocation();
      window.location.assign(`${pathname}${search}`);
    } catch (failure) {
      setError(failure instanceof Error ? failure : new Error(String(failure)));
      setSaving(false);
    }
  };

  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      <ServerStatus />
      {error && <ErrorView title="The settings were not saved" error={error} />}
      <FieldSet label="Server">
        <Field
          label="URL"
          description="Leave empty to let the plugin run the server itself"
          invalid={problem !== null}
          error={problem}
          htmlFor="hearth-url"
        >
          <Input
            id="hearth-url"
            width={60}
            value={settings.serverUrl ?? ''}
            placeholder="http://hearth:4040"
            data-testid="hearth-config-url"
            onChange={(event) => set({ serverUrl: event.currentTarget.value.trim() })}
          />
        </Field>
        <Field label="Tenant" description="Sent as X-Scope-OrgID; only for servers with several tenants" htmlFor="hearth-tenant">
          <Input
            id="hearth-tenant"
            width={60}
            value={settings.tenantId ?? ''}
            onChange={(event) => set({ tenantId: event.currentTarget.value.trim() })}
          />
        </Field>
      </FieldSet>
      <FieldSet label="Authentication">
        <Field label="Bearer token" htmlFor="hearth-token">
          <SecretInput id="hearth-token" {...secret('token')} />
        </Field>
        <Field label="User" description="For basic authentication" htmlFor="hearth-user">
          <Input
            id="hearth-user"
            width={60}
            value={settings.basicAuthUser ?? ''}
            onChange={(event) => set({ basicAuthUser: event.currentTarget.value })}
          />
        </Field>
        <Field label="Password" htmlFor="hearth-password">
          <SecretInput id="hearth-password" {...secret('basicAuthPassword')} />
        </Field>
      </FieldSet>
      <Button type="submit" disabled={problem !== null || saving}>
        Save
      </Button>
    </form>
  );
}
