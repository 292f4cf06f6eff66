import { dateTime, type QueryEditorProps } from '@grafana/data';
import { act, render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import React from 'react';
import { type HearthDataSource } from './datasource';
import { QueryEditor } from './QueryEditor';
import { type HearthOptions, type HearthQuery } from './types';

const datasource = {
  uid: 'hearth',
  profileTypes: async () => [{ id: 'a:b:c:d:e', label: 'a' }],
  labelNames: async () => ['pod'],
  labelValues: async () => ['x'],
} as unknown as HearthDataSource;

async function open(query: Partial<HearthQuery> = {}) {
  const onChange = jest.fn();
  const onRunQuery = jest.fn();
  const range = { from: dateTime(1), to: dateTime(2), raw: { from: dateTime(1), to: dateTime(2) } };
  const props = { datasource, query: { refId: 'A', ...query }, range, onChange, onRunQuery };
  render(<QueryEditor {...(props as unknown as QueryEditorProps<HearthDataSource, HearthQuery, HearthOptions>)} />);
  // The profile types are asked for at once.
  await screen.findByTestId('hearth-query-editor');
  await act(async () => undefined);
  return { onChange, onRunQuery };
}

it('shows only what the query type needs', async () => {
  await open({ queryType: 'flamegraph' });
  expect(screen.getByLabelText('Max nodes')).toBeInTheDocument();
  expect(screen.queryByTestId('hearth-group-by')).not.toBeInTheDocument();
});

it('runs the query when its type changes', async () => {
  const { onChange, onRunQuery } = await open();
  await userEvent.click(screen.getByLabelText('Time series'));
  expect(onChange).toHaveBeenCalledWith(expect.objectContaining({ refId: 'A', queryType: 'series' }));
  expect(onRunQuery).toHaveBeenCalledTimes(1);
});

it('hands a selector on when it is complete', async () => {
  const { onChange } = await open({ labelSelector: '{}' });
  const input = screen.getByTestId('hearth-selector');
  await userEvent.clear(input);
  await userEvent.type(input, '{{pod="x"}');
  await userEvent.tab();
  expect(onChange).toHaveBeenCalledWith(expect.objectContaining({ labelSelector: '{pod="x"}' }));
});

it('takes a number of nodes', async () => {
  const { onChange } = await open({ queryType: 'flamegraph' });
  await userEvent.type(screen.getByLabelText('Max nodes'), '512');
  await userEvent.tab();
  expect(onChange).toHaveBeenCalledWith(expect.objectContaining({ maxNodes: 512 }));
});
