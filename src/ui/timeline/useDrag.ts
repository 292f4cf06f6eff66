import { type PointerEvent, useState } from 'react';

/** Left and right end of a drag, in pixels from the element's left edge. */
export type Drag = [number, number];

/** Follows the pointer over an element and reports finished horizontal drags. */
export function useDrag(onDone: (from: number, to: number) => void) {
  const [hover, setHover] = useState<number | null>(null);
  const [start, setStart] = useState<number | null>(null);
  const drag: Drag | null = start === null || hover === null ? null : [Math.min(start, hover), Math.max(start, hover)];

  const offset = (event: PointerEvent<Element>) => {
    const box = event.currentTarget.getBoundingClientRect();
    return Math.max(0, Math.min(event.clientX - box.left, box.width));
  };

  const handlers = {
    onPointerDown: (event: PointerEvent<Element>) => {
      if (event.button === 0) {
        event.currentTarget.setPointerCapture?.(event.pointerId);
        setStart(offset(event));
        setHover(offset(event));
      }
    },
    onPointerMove: (event: PointerEvent<Element>) => setHover(offset(event)),
    onPointerUp: (event: PointerEvent<Element>) => {
      setStart(null);
      if (start !== null) {
        const end = offset(event);
        onDone(Math.min(start, end), Math.max(start, end));
      }
    },
    onPointerCancel: () => setStart(null),
    onPointerLeave: () => setHover(null),
  };
  return { hover, drag, handlers };
}
