import { css } from '@emotion/css';
import { CoreApp, type GrafanaTheme2, type QueryEditorProps } from '@grafana/data';
import { Combobox, InlineField, InlineFieldRow, Input, RadioButtonGroup, TagsInput, useStyles2 } from '@grafana/ui';
import React, { useMemo } from 'react';
import { profileTypeLabel, sortProfileTypes } from '../model/profile_type';
import { millis } from '../state/time';
import { SelectorInput } from '../ui/SelectorInput';
import { useLoad } from '../ui/useLoad';
import { type HearthDataSource } from './datasource';
import { suggestionsOf } from './suggestions';
import { DEFAULT_QUERY, type HearthOptions, type HearthQuery, type QueryType } from './types';

type Props = QueryEditorProps<HearthDataSource, HearthQuery, HearthOptions>;

const LABEL_WIDTH = 14;
const QUERY_TYPES: Array<{ value: QueryType; label: string }> = [
  { value: 'flamegraph', label: 'Flame graph' },
  { value: 'series', label: 'Time series' },
  { value: 'both', label: 'Both' },
];

/** Profile type, labels, and what to make of them. */
export function QueryEditor({ datasource, query: stored, range, app, onChange, onRunQuery }: Props) {
  const styles = useStyles2(getStyles);
  const query: HearthQuery = { ...DEFAULT_QUERY, ...stored };
  const source = useMemo(() => suggestionsOf(datasource, range), [datasource, range]);
  const set = (change: Partial<HearthQuery>) => {
    onChange({ ...query, ...change });
    onRunQuery();
  };
  const wantsSeries = query.queryType !== 'flamegraph';
  const wantsGraph = query.queryType !== 'series';
  return (
    <div className={styles.editor} data-testid="hearth-query-editor">
      <InlineFieldRow>
        <InlineField label="Profile type" labelWidth={LABEL_WIDTH}>
          <ProfileTypeField
            datasource={datasource}
            range={range}
            value={query.profileTypeId}
            onChange={(profileTypeId) => set({ profileTypeId })}
          />
        </InlineField>
        <InlineField label="Labels" labelWidth={LABEL_WIDTH} grow>
          <SelectorInput
            value={query.labelSelector}
            source={source}
            onCommit={(labelSelector) => set({ labelSelector: labelSelector || '{}' })}
          />
        </InlineField>
      </InlineFieldRow>
      <InlineFieldRow>
        <InlineField label="Query type" labelWidth={LABEL_WIDTH} disabled={app === CoreApp.CloudAlerting}>
          <div data-testid="hearth-query-type">
            <RadioButtonGroup
              options={QUERY_TYPES}
              value={query.queryType}
              onChange={(queryType) => set({ queryType })}
            />
          </div>
        </InlineField>
        {wantsSeries && (
          <InlineField label="Group by" labelWidth={LABEL_WIDTH} tooltip="One series for each value of these labels">
            <div data-testid="hearth-group-by">
              <TagsInput tags={query.groupBy ?? []} placeholder="label name" width={36} onChange={(groupBy) => set({ groupBy })} />
            </div>
          </InlineField>
        )}
        {wantsSeries && (
          <NumberField
            label="Limit"
            tooltip="Largest number of series; empty: all"
            value={query.limit}
            onCommit={(limit) => set({ limit })}
          />
        )}
        {wantsGraph && (
          <NumberField
            label="Max nodes"
            tooltip="What a larger flame graph has beyond this is summed up as “other”; empty: the server's default"
            value={query.maxNodes}
            onCommit={(maxNodes) => set({ maxNodes })}
          />
        )}
      </InlineFieldRow>
    </div>
  );
}

interface ProfileTypeProps {
  datasource: HearthDataSource;
  range: Props['range'];
  value: string;
  onChange: (id: string) => void;
}

function ProfileTypeField({ datasource, range, value, onChange }: ProfileTypeProps) {
  const within = range && millis(range);
  const { data, error, loading } = useLoad(`${datasource.uid} ${within?.from} ${within?.until}`, () =>
    datasource.profileTypes(within)
  );
  const known = (data ?? []).map(({ id }) => id);
  const ids = value === '' || known.includes(value) ? known : [...known, value];
  const options = sortProfileTypes(ids).map((id) => ({ value: id, label: profileTypeLabel(id), description: id }));
  return (
    <div data-testid="hearth-profile-type" title={error?.message}>
      <Combobox
        width={40}
        createCustomValue
        loading={loading}
        invalid={error !== undefined}
        options={options}
        value={value || null}
        placeholder="Choose a profile type"
        onChange={({ value: id }) => onChange(id)}
      />
    </div>
  );
}

interface NumberProps {
  label: string;
  tooltip: string;
  value: number | undefined;
  onCommit: (value: number | undefined) => void;
}

function NumberField({ label, tooltip, value, onCommit }: NumberProps) {
  return (
    <InlineField label={label} labelWidth={LABEL_WIDTH} tooltip={tooltip}>
      <Input
        key={value ?? ''}
        type="number"
        min={0}
        width={12}
        defaultValue={value || ''}
        aria-label={label}
        onBlur={(event) => {
          const wanted = Number.parseInt(event.currentTarget.value, 10);
          const next = Number.isFinite(wanted) && wanted > 0 ? wanted : undefined;
          if (next !== (value || undefined)) {
            onCommit(next);
          }
        }}
      />
    </InlineField>
  );
}

const getStyles = (theme: GrafanaTheme2) => ({
  editor: css({ display: 'flex', flexDirection: 'column', gap: theme.spacing(0.5) }),
});
