import { render, screen, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import React from 'react';
import { compileQuery } from '../../flamegraph/search';
import { type FunctionValue } from '../../flamegraph/top';
import { sortFunctions, toggled, windowOf } from './sort';
import { TopTable } from './TopTable';

function renderTable(functions: FunctionValue[]) {
  render(
    <TopTable
      functions={functions}
      total={100}
      unit="count"
      query={compileQuery('')}
      searched=""
      onSearch={() => undefined}
      onFocus={() => undefined}
    />
  );
  const table = screen.getByTestId('hearth-top-table');
  return {
    table,
    names: () => within(table).queryAllByRole('button', { pressed: false }).map((button) => button.textContent),
  };
}

it('sorts by a click on a header, and the other way round by another', async () => {
  const { table, names } = renderTable([
    { name: 'b', self: 1, total: 90 },
    { name: 'a', self: 5, total: 5 },
  ]);
  expect(names()).toEqual(['a', 'b']);
  await userEvent.click(within(table).getByText('Total'));
  expect(names()).toEqual(['b', 'a']);
  await userEvent.click(within(table).getByText('Function'));
  expect(names()).toEqual(['a', 'b']);
  await userEvent.click(within(table).getByText('Function'));
  expect(names()).toEqual(['b', 'a']);
  expect(within(table).getByText('Function').closest('th')).toHaveAttribute('aria-sort', 'descending');
});

it('renders only what is in view', () => {
  const { table, names } = renderTable(Array.from({ length: 5000 }, (_, i) => ({ name: `f${i}`, self: 5000 - i, total: i })));
  expect(names().length).toBeLessThan(60);
  expect(table).toHaveAttribute('aria-rowcount', '5001');
});

it('orders equal values by name', () => {
  const equal = ['c', 'a', 'b'].map((name) => ({ name, self: 1, total: 1 }));
  expect(sortFunctions(equal, { column: 'self', descending: true }).map(({ name }) => name)).toEqual(['a', 'b', 'c']);
  expect(toggled({ column: 'self', descending: true }, 'self')).toEqual({ column: 'self', descending: false });
});

it.each([
  [5, 0, [0, 5]],
  [1000, 0, [0, 40]],
  [1000, 2800, [90, 130]],
  [1000, 28_000, [970, 1000]],
])('of %i rows, scrolled to %i, renders %j', (count, scrollTop, expected) => {
  expect(windowOf(count, 28, scrollTop, 560)).toEqual(expected);
});
