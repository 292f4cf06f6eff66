import { type KeyboardEvent, type MouseEvent, type RefObject, useState } from 'react';
import { centreOf, nodeAt, ROW_HEIGHT, type Viewport } from '../../flamegraph/boxes';
import { type FlameGraph, type NodeIndex, rowOf } from '../../flamegraph/graph';
import { type Direction, step } from '../../flamegraph/navigate';

/** A node and where on the window it is pointed at. */
export interface Pointed {
  node: NodeIndex;
  x: number;
  y: number;
  byKeyboard: boolean;
}

const ARROWS: Record<string, Direction> = {
  ArrowUp: 'up',
  ArrowDown: 'down',
  ArrowLeft: 'left',
  ArrowRight: 'right',
};

interface Options {
  graph: FlameGraph;
  view: Viewport;
  focus: NodeIndex;
  scroller: RefObject<HTMLDivElement | null>;
  onFocus: (node: NodeIndex) => void;
}

/** The node that pointer or arrow keys point at, and the handlers that move it. Forgotten when the graph changes. */
export function usePointed({ graph, view, focus, scroller, onFocus }: Options) {
  const [state, setState] = useState<{ graph: FlameGraph; pointed: Pointed } | null>(null);
  const pointed = state?.graph === graph ? state.pointed : null;

  const under = (event: MouseEvent<HTMLElement>): Pointed | null => {
    const box = event.currentTarget.getBoundingClientRect();
    const node = nodeAt(graph, view, event.clientX - box.left, event.clientY - box.top);
    return node < 0 ? null : { node, x: event.clientX, y: event.clientY, byKeyboard: false };
  };

  const point = (next: Pointed | null) => setState(next && { graph, pointed: next });

  const move = (canvas: HTMLElement, direction: Direction) => {
    const from = pointed?.node ?? (focus >= 0 ? focus : -1);
    const node = step(graph, from, direction, view);
    if (node < 0) {
      return;
    }
    scrollTo(scroller.current, rowOf(graph, node));
    const box = canvas.getBoundingClientRect();
    const scrollTop = scroller.current?.scrollTop ?? view.scrollTop;
    const centre = centreOf(graph, { ...view, scrollTop }, node);
    point({ node, x: box.left + centre.x, y: box.top + centre.y, byKeyboard: true });
  };

  const onKeyDown = (event: KeyboardEvent<HTMLElement>) => {
    const direction = ARROWS[event.key];
    if (direction) {
      move(event.currentTarget, direction);
    } else if (event.key === 'Enter' && pointed) {
      onFocus(pointed.node);
    } else if (event.key === 'Escape') {
      point(null);
      onFocus(-1);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  };

  return { pointed, point, under, onKeyDown };
}

/** Brings a row into the viewport, with the least movement. */
export function scrollTo(scroller: HTMLElement | null, row: number): void {
  if (!scroller) {
    return;
  }
  const top = row * ROW_HEIGHT;
  if (top < scroller.scrollTop) {
    scroller.scrollTop = top;
  } else if (top + ROW_HEIGHT > scroller.scrollTop + scroller.clientHeight) {
    scroller.scrollTop = top + ROW_HEIGHT - scroller.clientHeight;
  }
}
