import { fireEvent, render, screen, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import React, { useState } from 'react';
import { type FunctionValue } from '../../flamegraph/top';
import { graphOfStacks } from '../../testing/stacks';
import { type FlameChoices, FlameGraphView } from './FlameGraphView';

const GRAPH = graphOfStacks('main;work;alloc 6\nmain;work 2\nmain;idle 2', 'nanoseconds');

function Owner({ functions }: { functions?: FunctionValue[] }) {
  const [choices, setChoices] = useState<FlameChoices>({ search: '', focus: '', view: 'both' });
  return (
    <FlameGraphView
      graph={GRAPH}
      functions={functions}
      height={500}
      {...choices}
      onChange={(change) => setChoices((known) => ({ ...known, ...change }))}
    />
  );
}

const canvas = () => screen.getByTestId('hearth-flamegraph-canvas');

beforeEach(() => {
  jest.spyOn(HTMLElement.prototype, 'clientWidth', 'get').mockReturnValue(1000);
  jest.spyOn(HTMLElement.prototype, 'clientHeight', 'get').mockReturnValue(400);
});
afterEach(() => jest.restoreAllMocks());

it('draws every node and zooms by click', () => {
  render(<Owner />);
  expect(canvas()).toHaveAttribute('data-nodes', '5');
  expect(canvas()).toHaveAttribute('data-focus', '');

  // Row 2 holds work (0 … 800 px) and idle (800 … 1000 px).
  fireEvent.click(canvas(), { clientX: 900, clientY: 50 });
  expect(canvas()).toHaveAttribute('data-focus', 'idle');
  expect(canvas()).toHaveAttribute('data-nodes', '3');

  fireEvent.click(screen.getByTestId('hearth-zoom-reset'));
  expect(canvas()).toHaveAttribute('data-focus', '');
});

it('searches and says what share matches', async () => {
  render(<Owner />);
  await userEvent.type(screen.getByTestId('hearth-flamegraph-search'), 'alloc');
  expect(await screen.findByText('1 function, 60 % of total')).toBeInTheDocument();
  expect(canvas()).toHaveAttribute('data-matches', '1');
  const table = screen.getByTestId('hearth-top-table');
  expect(within(table).queryByText('idle')).not.toBeInTheDocument();
});

it('says why an expression is no expression', async () => {
  render(<Owner />);
  await userEvent.type(screen.getByTestId('hearth-flamegraph-search'), '/(/');
  expect(await screen.findByText(/Invalid regular expression/)).toBeInTheDocument();
  expect(canvas()).toHaveAttribute('data-matches', '0');
});

it('shows a tooltip under the pointer', () => {
  render(<Owner />);
  fireEvent.mouseMove(canvas(), { clientX: 300, clientY: 70 });
  const tooltip = screen.getByTestId('hearth-tooltip');
  expect(tooltip).toHaveTextContent('alloc');
  expect(tooltip).toHaveTextContent('6 ns');
  expect(tooltip).toHaveTextContent('60 %');
  fireEvent.mouseLeave(canvas());
  expect(screen.queryByTestId('hearth-tooltip')).not.toBeInTheDocument();
});

it('is used with the keyboard alone, and tells what it is at', async () => {
  render(<Owner />);
  canvas().focus();
  await userEvent.keyboard('{ArrowDown}{ArrowDown}{ArrowDown}{ArrowRight}');
  expect(screen.getByText(/^idle: total 2 ns, 20 %; self 2 ns; 0 callees$/)).toBeInTheDocument();
  await userEvent.keyboard('{ArrowLeft}{Enter}');
  expect(canvas()).toHaveAttribute('data-focus', 'work');
  await userEvent.keyboard('{Escape}');
  expect(canvas()).toHaveAttribute('data-focus', '');
});

it('searches and zooms from the table, whose values are the server’s', async () => {
  render(<Owner functions={[{ name: 'alloc', self: 7, total: 7 }]} />);
  const table = screen.getByTestId('hearth-top-table');
  expect(within(table).getAllByText(/7 ns/)).toHaveLength(2);
  await userEvent.click(within(table).getByText('alloc'));
  expect(canvas()).toHaveAttribute('data-matches', '1');
  await userEvent.click(within(table).getByLabelText('Zoom into the largest call'));
  expect(canvas()).toHaveAttribute('data-focus', 'alloc');
});

it('offers what can be done with a function', async () => {
  render(<Owner />);
  fireEvent.contextMenu(canvas(), { clientX: 900, clientY: 50 });
  await userEvent.click(screen.getByText('Search for this function'));
  expect(await screen.findByText('1 function, 20 % of total')).toBeInTheDocument();
});

it('shows one or the other', async () => {
  render(<Owner />);
  await userEvent.click(screen.getByLabelText('Top table'));
  expect(screen.queryByTestId('hearth-flamegraph-canvas')).not.toBeInTheDocument();
  await userEvent.click(screen.getByLabelText('Flame graph'));
  expect(screen.queryByTestId('hearth-top-table')).not.toBeInTheDocument();
});
