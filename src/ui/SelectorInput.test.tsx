import { fireEvent, render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import React from 'react';
import { SelectorInput } from './SelectorInput';

const source = {
  names: jest.fn(async () => ['pod', 'region']),
  values: jest.fn(async () => ['eu-1', 'us-1']),
};

function renderInput(value = '') {
  const onCommit = jest.fn();
  render(<SelectorInput value={value} source={source} onCommit={onCommit} />);
  return { onCommit, input: screen.getByTestId('hearth-selector') };
}

it('completes names and values with keys alone', async () => {
  const { onCommit, input } = renderInput();
  await userEvent.click(input);
  expect(await screen.findByRole('option', { name: 'region' })).toBeInTheDocument();
  await userEvent.keyboard('{ArrowDown}{ArrowDown}{Enter}');
  expect(input).toHaveValue('{region="');
  expect(await screen.findByRole('option', { name: 'eu-1' })).toBeInTheDocument();
  await userEvent.keyboard('{ArrowDown}{Enter}');
  expect(input).toHaveValue('{region="eu-1"}');
  expect(source.values).toHaveBeenCalledWith('region', '{}', expect.anything());
  await userEvent.keyboard('{Enter}');
  expect(onCommit).toHaveBeenCalledWith('{region="eu-1"}');
});

it('does not hand on what is no selector, and says why', async () => {
  const { onCommit, input } = renderInput();
  await userEvent.type(input, 'nonsense"x');
  fireEvent.blur(input);
  expect(onCommit).not.toHaveBeenCalled();
  expect(screen.getByText('expected "{" at position 1')).toBeInTheDocument();
});

it('does not commit what was not touched', async () => {
  const { onCommit, input } = renderInput('{pod="a"}');
  await userEvent.click(input);
  fireEvent.blur(input);
  expect(onCommit).not.toHaveBeenCalled();
});
