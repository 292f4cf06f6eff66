import { useCallback, useState } from 'react';

/** The width of the element that gets the returned ref; 0 before it is known. */
export function useWidth(): [(element: HTMLElement | null) => void, number] {
  const [width, setWidth] = useState(0);
  const ref = useCallback((element: HTMLElement | null) => {
    if (element) {
      new ResizeObserver(([entry]) => setWidth(Math.floor(entry.contentRect.width))).observe(element);
    }
  }, []);
  return [ref, width];
}
