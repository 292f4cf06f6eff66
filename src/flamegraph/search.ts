// Search: which functions match, and what share of the whole they account for.
//
// The share is exact: a match below another match is part of it already and is
// not counted again, so the share never exceeds 100 %.
import { nodeCount, type FlameGraph } from './graph';

/** A compiled search text. */
export type Query =
  | { kind: 'none' }
  | { kind: 'invalid'; reason: string }
  | { kind: 'match'; test: (name: string) => boolean };

export interface SearchResult {
  /** 1 for every name that matches, by NameIndex. */
  names: Uint8Array;
  functions: number;
  nodes: number;
  /** Value units covered by matches, nested ones counted once. */
  value: number;
}

/** A text in slashes is a regular expression, any other a substring; case never matters. */
export function compileQuery(text: string): Query {
  const trimmed = text.trim();
  if (trimmed === '') {
    return { kind: 'none' };
  }
  const pattern = /^\/(.+)\/$/.exec(trimmed)?.[1];
  if (pattern === undefined) {
    const wanted = trimmed.toLowerCase();
    return { kind: 'match', test: (name) => name.toLowerCase().includes(wanted) };
  }
  try {
    const expression = new RegExp(pattern, 'i');
    return { kind: 'match', test: (name) => expression.test(name) };
  } catch (error) {
    return { kind: 'invalid', reason: error instanceof Error ? error.message : String(error) };
  }
}

/** Null when the query selects nothing by its nature (empty or invalid). */
export function search(graph: FlameGraph, query: Query): SearchResult | null {
  if (query.kind !== 'match') {
    return null;
  }
  const names = new Uint8Array(graph.names.length);
  const result: SearchResult = { names, functions: 0, nodes: 0, value: 0 };
  const used = usedNames(graph);
  graph.names.forEach((name, index) => {
    if (used[index] && query.test(name)) {
      names[index] = 1;
      result.functions++;
    }
  });
  const covered = new Uint8Array(nodeCount(graph));
  for (let node = 0; node < covered.length; node++) {
    const inherited = graph.parent[node] >= 0 && covered[graph.parent[node]] === 1;
    const matches = names[graph.name[node]] === 1;
    covered[node] = inherited || matches ? 1 : 0;
    result.nodes += matches ? 1 : 0;
    result.value += matches && !inherited ? graph.total[node] : 0;
  }
  return result;
}

/** The string table may hold names that no node uses. */
function usedNames(graph: FlameGraph): Uint8Array {
  const used = new Uint8Array(graph.names.length);
  graph.name.forEach((name) => (used[name] = 1));
  return used;
}
