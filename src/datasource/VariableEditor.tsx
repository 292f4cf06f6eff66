import { type QueryEditorProps } from '@grafana/data';
import { Combobox, InlineField, InlineFieldRow, RadioButtonGroup } from '@grafana/ui';
import React, { useMemo } from 'react';
import { SelectorInput } from '../ui/SelectorInput';
import { type HearthDataSource } from './datasource';
import { suggestionsOf } from './suggestions';
import { DEFAULT_VARIABLE_QUERY, type HearthOptions, type HearthQuery, type HearthVariableQuery } from './types';

type Props = QueryEditorProps<HearthDataSource, HearthQuery, HearthOptions, HearthVariableQuery>;

const KINDS: Array<{ value: HearthVariableQuery['kind']; label: string }> = [
  { value: 'labelValues', label: 'Label values' },
  { value: 'labelNames', label: 'Label names' },
  { value: 'profileTypes', label: 'Profile types' },
];

/** What a dashboard variable lists. */
export function VariableEditor({ datasource, query: stored, range, onChange }: Props) {
  const query: HearthVariableQuery = { ...DEFAULT_VARIABLE_QUERY, ...stored };
  const source = useMemo(() => suggestionsOf(datasource, range), [datasource, range]);
  const set = (change: Partial<HearthVariableQuery>) => onChange({ ...query, ...change });
  return (
    <>
      <InlineFieldRow>
        <InlineField label="List" labelWidth={14}>
          <RadioButtonGroup options={KINDS} value={query.kind} onChange={(kind) => set({ kind })} />
        </InlineField>
      </InlineFieldRow>
      {query.kind === 'labelValues' && (
        <InlineFieldRow>
          <InlineField label="Label" labelWidth={14}>
            <Combobox
              width={30}
              createCustomValue
              value={query.label ?? null}
              options={async (typed) => (await datasource.labelNames('')).filter((name) => name.includes(typed)).map(asOption)}
              onChange={({ value }) => set({ label: value })}
            />
          </InlineField>
        </InlineFieldRow>
      )}
      {query.kind !== 'profileTypes' && (
        <InlineFieldRow>
          <InlineField label="Of profiles with" labelWidth={14} grow>
            <SelectorInput value={query.selector ?? ''} source={source} onCommit={(selector) => set({ selector })} />
          </InlineField>
        </InlineFieldRow>
      )}
    </>
  );
}

function asOption(value: string) {
  return { value, label: value };
}
