// Flame graphs one can see: a text with one stack a line, "main;a;b 3".
import { type FlameGraph, graphFromLevels, nameOf, rowCount } from '../flamegraph/graph';

interface Node {
  name: string;
  total: number;
  self: number;
  children: Map<string, Node>;
}

interface Out {
  names: Map<string, number>;
  levels: number[][];
  /** Where the latest bar of each row ended. */
  ends: number[];
}

/** Builds the levels of an answer the slow and plain way, and the graph from them. */
export function graphOfStacks(text: string, unit = 'count'): FlameGraph {
  const { names, levels } = levelsOfStacks(text);
  return graphFromLevels(names, levels, unit);
}

export function levelsOfStacks(text: string): { names: string[]; levels: number[][] } {
  const root: Node = { name: 'total', total: 0, self: 0, children: new Map() };
  for (const line of text.trim().split('\n')) {
    const [, stack = '', value] = /^\s*(?:(\S.*?)\s+)?(\d+)\s*$/.exec(line) ?? [];
    addStack(root, stack ? stack.split(';') : [], Number(value));
  }
  const out: Out = { names: new Map(), levels: [], ends: [] };
  place(root, 0, 0, out);
  return { names: [...out.names.keys()], levels: out.levels };
}

function addStack(root: Node, stack: string[], value: number): void {
  let node = root;
  node.total += value;
  for (const name of stack) {
    const child = node.children.get(name) ?? { name, total: 0, self: 0, children: new Map<string, Node>() };
    node.children.set(name, child);
    child.total += value;
    node = child;
  }
  node.self += value;
}

function place(node: Node, row: number, start: number, out: Out): void {
  const name = out.names.get(node.name) ?? out.names.size;
  out.names.set(node.name, name);
  out.levels[row] ??= [];
  out.levels[row].push(start - (out.ends[row] ?? 0), node.total, node.self, name);
  out.ends[row] = start + node.total;
  let at = start + node.self;
  for (const child of node.children.values()) {
    place(child, row + 1, at, out);
    at += child.total;
  }
}

/** Rows of "name@start+total" for comparison with what is expected. */
export function rowsOf(graph: FlameGraph): string[] {
  return Array.from({ length: rowCount(graph) }, (_, row) => {
    const nodes = [];
    for (let node = graph.rows[row]; node < graph.rows[row + 1]; node++) {
      nodes.push(`${nameOf(graph, node)}@${graph.start[node]}+${graph.total[node]}`);
    }
    return nodes.join(' ');
  });
}

/** A graph of random stacks, the same for the same seed. */
export function randomStacks(seed: number, count: number): string {
  let state = seed;
  const next = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >>> 8) % below;
  };
  return Array.from({ length: count }, () => {
    const stack = Array.from({ length: 1 + next(9) }, () => `f${next(6)}`);
    return `${stack.join(';')} ${1 + next(20)}`;
  }).join('\n');
}
