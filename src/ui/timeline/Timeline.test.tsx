import { fireEvent, render, screen } from '@testing-library/react';
import React from 'react';
import { Timeline } from './Timeline';

beforeEach(() => {
  jest.spyOn(HTMLElement.prototype, 'clientWidth', 'get').mockReturnValue(600);
  jest.spyOn(Element.prototype, 'getBoundingClientRect').mockReturnValue({ left: 0, width: 600 } as DOMRect);
});
afterEach(() => jest.restoreAllMocks());

/** jsdom knows no pointer events; a mouse event with their names serves. */
function pointer(target: Element, type: string, clientX: number) {
  fireEvent(target, new MouseEvent(type, { bubbles: true, clientX, button: 0 }));
}

it('selects a range by dragging, in either direction, and ignores a click', () => {
  const onSelect = jest.fn();
  const range = { from: 1_000_000, until: 1_600_000 };
  render(<Timeline points={[[1_060_000, 5]]} step={60_000} unit="count" range={range} onSelect={onSelect} />);
  const chart = screen.getByRole('img');
  pointer(chart, 'pointerdown', 300);
  pointer(chart, 'pointermove', 100);
  pointer(chart, 'pointerup', 100);
  expect(onSelect).toHaveBeenCalledWith({ from: 1_100_000, until: 1_300_000 });

  pointer(chart, 'pointerdown', 300);
  pointer(chart, 'pointerup', 301);
  expect(onSelect).toHaveBeenCalledTimes(1);
});

it('reads out the bar under the pointer', () => {
  const range = { from: 0, until: 600_000 };
  render(<Timeline points={[[60_000, 1536]]} step={60_000} unit="bytes" range={range} onSelect={() => undefined} />);
  pointer(screen.getByRole('img'), 'pointermove', 30);
  expect(screen.getByRole('status')).toHaveTextContent('1.5 KiB');
});
