import { type DataSourcePluginOptionsEditorProps } from '@grafana/data';
import { Field, FieldSet, Input, SecretInput } from '@grafana/ui';
import React from 'react';
import { urlProblem } from '../model/url';
import { type HearthOptions, type HearthSecrets } from './types';

type Props = DataSourcePluginOptionsEditorProps<HearthOptions, HearthSecrets>;

const WIDTH = 60;

/** Which server to ask, and with what credentials. */
export function ConfigEditor({ options, onOptionsChange }: Props) {
  const problem = urlProblem(options.url ?? '');
  const { jsonData, secureJsonFields, secureJsonData } = options;
  const secret = (name: keyof HearthSecrets) => ({
    isConfigured: secureJsonFields?.[name] === true,
    value: secureJsonData?.[name] ?? '',
    width: WIDTH,
    onChange: (event: React.ChangeEvent<HTMLInputElement>) =>
      onOptionsChange({ ...options, secureJsonData: { ...secureJsonData, [name]: event.target.value } }),
    onReset: () =>
      onOptionsChange({
        ...options,
        secureJsonFields: { ...secureJsonFields, [name]: false },
        secureJsonData: { ...secureJsonData, [name]: '' },
      }),
  });
  return (
    <>
      <FieldSet label="Server">
        <Field
          label="URL"
          description="Leave empty for the server that the Hearth app runs itself"
          invalid={problem !== null}
          error={problem}
          htmlFor="hearth-ds-url"
        >
          <Input
            id="hearth-ds-url"
            width={WIDTH}
            value={options.url ?? ''}
            placeholder="http://hearth:4040"
            data-testid="hearth-config-url"
            onChange={(event) => onOptionsChange({ ...options, url: event.currentTarget.value.trim() })}
          />
        </Field>
        <Field label="Tenant" description="Sent as X-Scope-OrgID; only for servers with several tenants" htmlFor="hearth-ds-tenant">
          <Input
            id="hearth-ds-tenant"
            width={WIDTH}
            value={jsonData.tenantId ?? ''}
            onChange={(event) =>
              onOptionsChange({ ...options, jsonData: { ...jsonData, tenantId: event.currentTarget.value.trim() } })
            }
          />
        </Field>
      </FieldSet>
      <FieldSet label="Authentication">
        <Field label="Bearer token" htmlFor="hearth-ds-token">
          <SecretInput id="hearth-ds-token" {...secret('token')} />
        </Field>
        <Field label="User" description="For basic authentication" htmlFor="hearth-ds-user">
          <Input
            id="hearth-ds-user"
            width={WIDTH}
            value={options.basicAuthUser ?? ''}
            onChange={(event) => {
              const user = event.currentTarget.value;
              onOptionsChange({ ...options, basicAuth: user !== '', basicAuthUser: user });
            }}
          />
        </Field>
        <Field label="Password" htmlFor="hearth-ds-password">
          <SecretInput id="hearth-ds-password" {...secret('basicAuthPassword')} />
        </Field>
      </FieldSet>
    </>
  );
}
