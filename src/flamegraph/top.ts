// The functions of a graph with their self and total values. A function's total
// counts every sample once: a recursive call lies within the outer one and adds nothing.
import { nodeCount, type FlameGraph } from './graph';

export interface FunctionValue {
  name: string;
  self: number;
  total: number;
}

/** Functions by self value, largest first. What the graph was cut to is all this can see. */
export function topFunctions(graph: FlameGraph): FunctionValue[] {
  const self = new Float64Array(graph.names.length);
  const total = new Float64Array(graph.names.length);
  const open = new Int32Array(graph.names.length);
  const used = new Uint8Array(graph.names.length);
  // Depth first; ~node on the stack means "leave node".
  const stack: number[] = rootsOf(graph);
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    if (at < 0) {
      open[graph.name[~at]]--;
      continue;
    }
    const name = graph.name[at];
    used[name] = 1;
    self[name] += graph.self[at];
    total[name] += open[name]++ === 0 ? graph.total[at] : 0;
    stack.push(~at);
    for (let child = 0; child < graph.childCount[at]; child++) {
      stack.push(graph.firstChild[at] + child);
    }
  }
  return graph.names
    .map((name, index) => ({ name, self: self[index], total: total[index] }))
    .filter((_, index) => used[index] === 1)
    .sort((a, b) => b.self - a.self || b.total - a.total || compareNames(a.name, b.name));
}

function compareNames(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function rootsOf(graph: FlameGraph): number[] {
  const roots = nodeCount(graph) > 0 ? graph.rows[1] : 0;
  return Array.from({ length: roots }, (_, index) => index);
}
