// Moving through the graph with the keyboard, and finding a node again after
// the data was loaded anew.
import { hash } from './colour';
import { endOf, nameOf, nodeCount, rowOf, stackOf, type FlameGraph, type NodeIndex } from './graph';

export type Direction = 'up' | 'down' | 'left' | 'right';

/** The node one step from here, or here when there is none. Sideways stays within [left, right). */
export function step(
  graph: FlameGraph,
  from: NodeIndex,
  direction: Direction,
  bounds: { left: number; right: number }
): NodeIndex {
  if (from < 0) {
    return nodeCount(graph) > 0 ? 0 : -1;
  }
  switch (direction) {
    case 'up':
      return graph.parent[from] >= 0 ? graph.parent[from] : from;
    case 'down':
      return largestChild(graph, from, bounds);
    case 'left':
      return sideways(graph, from, -1, bounds);
    case 'right':
      return sideways(graph, from, 1, bounds);
  }
}

function inside(graph: FlameGraph, node: NodeIndex, bounds: { left: number; right: number }): boolean {
  return endOf(graph, node) > bounds.left && graph.start[node] < bounds.right;
}

function largestChild(graph: FlameGraph, from: NodeIndex, bounds: { left: number; right: number }): NodeIndex {
  let best = from;
  const first = graph.firstChild[from];
  for (let child = first; child < first + graph.childCount[from]; child++) {
    if (inside(graph, child, bounds) && (best === from || graph.total[child] > graph.total[best])) {
      best = child;
    }
  }
  return best;
}

function sideways(
  graph: FlameGraph,
  from: NodeIndex,
  by: 1 | -1,
  bounds: { left: number; right: number }
): NodeIndex {
  const row = rowOf(graph, from);
  const to = from + by;
  const sameRow = to >= graph.rows[row] && to < graph.rows[row + 1];
  return sameRow && inside(graph, to, bounds) ? to : from;
}

/** The largest node of a function, or -1. */
export function largestNodeOf(graph: FlameGraph, name: string): NodeIndex {
  const index = graph.names.indexOf(name);
  let best = -1;
  if (index >= 0) {
    for (let node = 0; node < nodeCount(graph); node++) {
      if (graph.name[node] === index && (best < 0 || graph.total[node] > graph.total[best])) {
        best = node;
      }
    }
  }
  return best;
}

/** A short text that names a call path by the names on it, whatever the values: for the URL. */
export function pathKey(graph: FlameGraph, node: NodeIndex): string {
  return node <= 0 ? '' : pathHash(graph, node).toString(36);
}

/** The node of a path key in this graph, or -1. Parents come before children, so one pass does it. */
export function nodeOfPath(graph: FlameGraph, key: string): NodeIndex {
  if (key === '') {
    return -1;
  }
  const wanted = Number.parseInt(key, 36);
  const byName = graph.names.map((name) => hash(name));
  const hashes = new Uint32Array(nodeCount(graph));
  for (let node = 0; node < hashes.length; node++) {
    const above = graph.parent[node] < 0 ? 0 : hashes[graph.parent[node]];
    hashes[node] = joined(above, byName[graph.name[node]]);
    if (hashes[node] === wanted) {
      return node;
    }
  }
  return -1;
}

function pathHash(graph: FlameGraph, node: NodeIndex): number {
  return stackOf(graph, node).reduce((above, at) => joined(above, hash(nameOf(graph, at))), 0);
}

function joined(above: number, own: number): number {
  return (Math.imul(above ^ own, 0x9e3779b1) + (own >>> 3)) >>> 0;
}
