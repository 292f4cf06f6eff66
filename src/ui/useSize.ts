import { useLayoutEffect, useState, type RefObject } from 'react';

export interface Size {
  width: number;
  height: number;
}

/** The content size of an element, kept up to date. */
export function useSize(element: RefObject<HTMLElement | null>): Size {
  const [size, setSize] = useState<Size>({ width: 0, height: 0 });

  useLayoutEffect(() => {
    const target = element.current;
    if (!target) {
      return undefined;
    }
    const measure = () =>
      setSize((known) => {
        const { clientWidth: width, clientHeight: height } = target;
        return known.width === width && known.height === height ? known : { width, height };
      });
    const observer = new ResizeObserver(measure);
    observer.observe(target);
    measure();
    return () => observer.disconnect();
  }, [element]);

  return size;
}
