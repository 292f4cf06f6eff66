// A flame graph as columns of numbers: half a million nodes are a dozen arrays,
// not half a million objects, and a row can be searched by bisection.
//
// Invariants, which both builders below establish:
//   G1  Nodes are ordered by row, and within a row by start. Row r holds the
//       nodes rows[r] … rows[r+1]-1.
//   G2  The children of a node are contiguous in the next row.
//   G3  A child lies within its parent: start and end of both are in value units.
//   G4  A node's own (self) part is at its left, its children follow.

/** Index of a node in the columns of a FlameGraph; -1 stands for none. */
export type NodeIndex = number;
/** Index into FlameGraph.names. */
export type NameIndex = number;

export interface FlameGraph {
  /** Every function name once. */
  names: string[];
  /** Offset of each row's first node; one longer than there are rows. */
  rows: Int32Array;
  start: Float64Array;
  total: Float64Array;
  self: Float64Array;
  name: Int32Array;
  /** -1 in row 0. */
  parent: Int32Array;
  firstChild: Int32Array;
  childCount: Int32Array;
  /** The end of row 0: what 100 % means. */
  totalValue: number;
  /** "nanoseconds", "bytes", "count" … as the profile type says it. */
  unit: string;
}

/** Four numbers a bar: offset from the previous bar's end, total, self, name index. */
export type Levels = number[][];

const NUMBERS_PER_BAR = 4;

/** Builds the columns from the levels of the query API. */
export function graphFromLevels(names: string[], levels: Levels, unit: string): FlameGraph {
  const counts = levels.map((level) => Math.floor(level.length / NUMBERS_PER_BAR));
  const graph = emptyColumns(names, counts, unit);
  levels.forEach((level, row) => {
    let end = 0;
    for (let i = 0; i < counts[row]; i++) {
      const at = i * NUMBERS_PER_BAR;
      const node = graph.rows[row] + i;
      graph.start[node] = end + level[at];
      graph.total[node] = level[at + 1];
      graph.self[node] = level[at + 2];
      graph.name[node] = level[at + 3];
      end = graph.start[node] + graph.total[node];
    }
    linkRow(graph, row);
  });
  return closed(graph);
}

/** Columns of a data frame in nested-set order: depth first, parents before children. */
export interface NestedSet {
  level: ArrayLike<number>;
  value: ArrayLike<number>;
  self: ArrayLike<number>;
  label: ArrayLike<string>;
}

/** Builds the columns from a nested-set frame. A level that skips a row is read as the next row. */
export function graphFromNestedSet(set: NestedSet, unit: string): FlameGraph {
  const depth = clampedLevels(set.level);
  const counts: number[] = [];
  depth.forEach((level) => (counts[level] = (counts[level] ?? 0) + 1));
  const interned = new Map<string, NameIndex>();
  const graph = emptyColumns([], counts, unit);
  const placed = Int32Array.from(counts, (_, row) => graph.rows[row]);
  // Where the next child of the latest node of each row begins.
  const next = new Float64Array(counts.length + 1);
  depth.forEach((row, i) => {
    const node = placed[row]++;
    graph.start[node] = next[row];
    graph.total[node] = Number(set.value[i]);
    graph.self[node] = Number(set.self[i]);
    graph.name[node] = intern(interned, graph.names, set.label[i]);
    next[row] += graph.total[node];
    next[row + 1] = graph.start[node] + graph.self[node];
  });
  counts.forEach((_, row) => linkRow(graph, row));
  return closed(graph);
}

export function endOf(graph: FlameGraph, node: NodeIndex): number {
  return graph.start[node] + graph.total[node];
}

export function rowCount(graph: FlameGraph): number {
  return graph.rows.length - 1;
}

export function nodeCount(graph: FlameGraph): number {
  return graph.start.length;
}

export function nameOf(graph: FlameGraph, node: NodeIndex): string {
  return graph.names[graph.name[node]] ?? '';
}

/** The row a node is in, by bisection over the row offsets. */
export function rowOf(graph: FlameGraph, node: NodeIndex): number {
  let low = 0;
  let high = rowCount(graph) - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (graph.rows[middle] <= node) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

/** The node and what called it, root first. */
export function stackOf(graph: FlameGraph, node: NodeIndex): NodeIndex[] {
  const stack: NodeIndex[] = [];
  for (let at = node; at >= 0; at = graph.parent[at]) {
    stack.push(at);
  }
  return stack.reverse();
}

function emptyColumns(names: string[], counts: number[], unit: string): FlameGraph {
  const rows = new Int32Array(counts.length + 1);
  counts.forEach((count, row) => (rows[row + 1] = rows[row] + count));
  const size = rows[counts.length];
  return {
    names,
    rows,
    unit,
    start: new Float64Array(size),
    total: new Float64Array(size),
    self: new Float64Array(size),
    name: new Int32Array(size),
    parent: new Int32Array(size).fill(-1),
    firstChild: new Int32Array(size),
    childCount: new Int32Array(size),
    totalValue: 0,
  };
}

/** Finds the parents of a row's nodes by walking the row above alongside. */
function linkRow(graph: FlameGraph, row: number): void {
  if (row === 0) {
    return;
  }
  const last = graph.rows[row] - 1;
  let parent = graph.rows[row - 1];
  for (let node = graph.rows[row]; node < graph.rows[row + 1]; node++) {
    while (parent < last && graph.start[node] >= endOf(graph, parent)) {
      parent++;
    }
    graph.parent[node] = parent;
    if (graph.childCount[parent]++ === 0) {
      graph.firstChild[parent] = node;
    }
  }
}

function closed(graph: FlameGraph): FlameGraph {
  const roots = rowCount(graph) > 0 ? graph.rows[1] : 0;
  graph.totalValue = roots > 0 ? endOf(graph, roots - 1) : 0;
  return graph;
}

function clampedLevels(levels: ArrayLike<number>): Int32Array {
  const clamped = new Int32Array(levels.length);
  let previous = -1;
  for (let i = 0; i < levels.length; i++) {
    previous = Math.max(0, Math.min(Number(levels[i]), previous + 1));
    clamped[i] = previous;
  }
  return clamped;
}

function intern(seen: Map<string, NameIndex>, names: string[], name: string): NameIndex {
  const known = seen.get(name);
  if (known !== undefined) {
    return known;
  }
  seen.set(name, names.length);
  names.push(name);
  return names.length - 1;
}
