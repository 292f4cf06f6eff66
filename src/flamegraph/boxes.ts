// Which boxes a view shows, and which node is under a point: pure arithmetic,
// shared by painting, hit test and tests.
//
// The work is bounded by the pixels, not by the nodes: only rows in the viewport
// are walked, each from the first visible node (by bisection), and neighbours
// under MIN_BOX_PX are joined into one run, skipped over by bisection again.
import { endOf, rowCount, rowOf, type FlameGraph, type NodeIndex } from './graph';

/** Pixels as CSS counts them, not device pixels. */
export type CssPixels = number;

export const ROW_HEIGHT: CssPixels = 20;
export const MIN_BOX_PX: CssPixels = 2;

/** What part of the graph the canvas shows. left and right are in value units. */
export interface Viewport {
  left: number;
  right: number;
  width: CssPixels;
  height: CssPixels;
  scrollTop: CssPixels;
}

/** A drawn rectangle. count > 1: that many neighbours too narrow to be drawn alone, node the first. */
export interface Box {
  node: NodeIndex;
  count: number;
  x: CssPixels;
  y: CssPixels;
  width: CssPixels;
}

/** The viewport that shows a node and all below it, or everything when node is -1. */
export function viewportFor(
  graph: FlameGraph,
  node: NodeIndex,
  size: { width: CssPixels; height: CssPixels; scrollTop: CssPixels }
): Viewport {
  const whole = node < 0;
  return {
    left: whole ? 0 : graph.start[node],
    right: whole ? graph.totalValue : endOf(graph, node),
    ...size,
  };
}

export function contentHeight(graph: FlameGraph): CssPixels {
  return rowCount(graph) * ROW_HEIGHT;
}

/** Where the middle of the visible part of a node is on the canvas. */
export function centreOf(graph: FlameGraph, view: Viewport, node: NodeIndex): { x: CssPixels; y: CssPixels } {
  const from = Math.max(graph.start[node], view.left);
  const to = Math.min(endOf(graph, node), view.right);
  const x = ((from + to) / 2 - view.left) * pixelsPerUnit(view);
  return { x, y: (rowOf(graph, node) + 0.5) * ROW_HEIGHT - view.scrollTop };
}

/** Calls visit for every box of the viewport, row by row, left to right. The box is reused between calls. */
export function eachBox(graph: FlameGraph, view: Viewport, visit: (box: Box) => void): void {
  const scale = pixelsPerUnit(view);
  if (scale === 0) {
    return;
  }
  const first = Math.max(0, Math.floor(view.scrollTop / ROW_HEIGHT));
  const last = Math.min(rowCount(graph), Math.ceil((view.scrollTop + view.height) / ROW_HEIGHT));
  const box: Box = { node: -1, count: 0, x: 0, y: 0, width: 0 };
  for (let row = first; row < last; row++) {
    box.y = row * ROW_HEIGHT - view.scrollTop;
    const rowEnd = graph.rows[row + 1];
    let node = firstEndingAfter(graph, row, view.left);
    while (node < rowEnd && graph.start[node] < view.right) {
      const after = endOfRun(graph, node, rowEnd, scale);
      const from = Math.max(graph.start[node], view.left);
      const to = Math.min(endOf(graph, after - 1), view.right);
      box.node = node;
      box.count = after - node;
      box.x = (from - view.left) * scale;
      box.width = Math.max((to - from) * scale, 0.5);
      visit(box);
      node = after;
    }
  }
}

/** The node under a point of the canvas, or -1. Among joined neighbours it is the exact one. */
export function nodeAt(graph: FlameGraph, view: Viewport, x: CssPixels, y: CssPixels): NodeIndex {
  const scale = pixelsPerUnit(view);
  const row = Math.floor((y + view.scrollTop) / ROW_HEIGHT);
  if (scale === 0 || row < 0 || row >= rowCount(graph) || x < 0 || x > view.width) {
    return -1;
  }
  const value = view.left + x / scale;
  const node = firstEndingAfter(graph, row, value);
  return node < graph.rows[row + 1] && graph.start[node] <= value ? node : -1;
}

function pixelsPerUnit(view: Viewport): number {
  const range = view.right - view.left;
  return range > 0 && view.width > 0 ? view.width / range : 0;
}

/** The first node of a row whose end lies right of a value; the row's end when there is none. */
function firstEndingAfter(graph: FlameGraph, row: number, value: number): NodeIndex {
  return bisect(graph.rows[row], graph.rows[row + 1], (node) => endOf(graph, node) > value);
}

/** One past the last node that is joined with node; node + 1 when it is wide enough to stand alone. */
function endOfRun(graph: FlameGraph, node: NodeIndex, rowEnd: NodeIndex, scale: number): NodeIndex {
  const minimum = MIN_BOX_PX / scale;
  if (graph.total[node] >= minimum) {
    return node + 1;
  }
  // All nodes that start within the minimum from here; of them only the last can be wide.
  const limit = graph.start[node] + minimum;
  const after = bisect(node + 1, rowEnd, (other) => graph.start[other] >= limit);
  return after - 1 > node && graph.total[after - 1] >= minimum ? after - 1 : after;
}

/** The first index in [low, high) for which holds is true, given that it stays true from there on. */
function bisect(low: number, high: number, holds: (index: number) => boolean): number {
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(middle)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}
