import { graphOfStacks, rowsOf } from '../testing/stacks';
import { endOf, graphFromLevels, graphFromNestedSet, nameOf, nodeCount, rowOf, stackOf } from './graph';

describe('graphFromLevels', () => {
  // The example of the API's description of levels.
  const graph = graphFromLevels(
    ['total', 'main', 'b', 'c', 'a'],
    [
      [0, 6, 0, 0],
      [0, 6, 1, 1],
      [1, 3, 3, 4, 0, 2, 0, 2],
      [4, 2, 2, 3],
    ],
    'count'
  );

  it('turns delta offsets into starts', () => {
    expect(rowsOf(graph)).toEqual(['total@0+6', 'main@0+6', 'a@1+3 b@4+2', 'c@4+2']);
    expect(graph.totalValue).toBe(6);
  });

  it('links children to parents', () => {
    expect(Array.from(graph.parent)).toEqual([-1, 0, 1, 1, 3]);
    expect(Array.from(graph.firstChild)).toEqual([1, 2, 0, 4, 0]);
    expect(Array.from(graph.childCount)).toEqual([1, 2, 0, 1, 0]);
    expect(stackOf(graph, 4).map((node) => nameOf(graph, node))).toEqual(['total', 'main', 'b', 'c']);
  });

  it('finds the row of every node', () => {
    expect([0, 1, 2, 3, 4].map((node) => rowOf(graph, node))).toEqual([0, 1, 2, 2, 3]);
  });

  it('makes an empty graph of no levels', () => {
    const empty = graphFromLevels(['total'], [], 'count');
    expect(nodeCount(empty)).toBe(0);
    expect(empty.totalValue).toBe(0);
  });
});

describe('graphFromNestedSet', () => {
  it('builds the same graph as levels do', () => {
    const graph = graphFromNestedSet(
      {
        level: [0, 1, 2, 2, 3],
        value: [6, 6, 3, 2, 2],
        self: [0, 1, 3, 0, 2],
        label: ['total', 'main', 'a', 'b', 'c'],
      },
      'ns'
    );
    expect(rowsOf(graph)).toEqual(['total@0+6', 'main@0+6', 'a@1+3 b@4+2', 'c@4+2']);
    expect(Array.from(graph.parent)).toEqual([-1, 0, 1, 1, 3]);
  });

  it('interns labels and survives levels that skip a row', () => {
    const graph = graphFromNestedSet({ level: [0, 3], value: [2, 2], self: [0, 2], label: ['a', 'a'] }, 'ns');
    expect(graph.names).toEqual(['a']);
    expect(rowsOf(graph)).toEqual(['a@0+2', 'a@0+2']);
  });
});

it('keeps every child within its parent', () => {
  const graph = graphOfStacks('a;b;c 3\na;b 2\na;d;c 4\ne 1\n 2');
  for (let node = 1; node < nodeCount(graph); node++) {
    const parent = graph.parent[node];
    expect(graph.start[node]).toBeGreaterThanOrEqual(graph.start[parent] + graph.self[parent]);
    expect(endOf(graph, node)).toBeLessThanOrEqual(endOf(graph, parent));
  }
});
