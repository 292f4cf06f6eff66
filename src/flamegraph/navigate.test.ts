import { graphOfStacks } from '../testing/stacks';
import { nameOf } from './graph';
import { type Direction, largestNodeOf, nodeOfPath, pathKey, step } from './navigate';

const graph = graphOfStacks('main;a 3\nmain;b;c 5\nmain;d 1');
const ALL = { left: 0, right: graph.totalValue };

function walk(from: number, ...directions: Direction[]): string {
  return nameOf(graph, directions.reduce((node, direction) => step(graph, node, direction, ALL), from));
}

it('starts at the root, goes down to the largest callee, and up again', () => {
  expect(walk(-1, 'down')).toBe('total');
  expect(walk(0, 'down', 'down')).toBe('b');
  expect(walk(0, 'down', 'down', 'down', 'up', 'up')).toBe('main');
});

it('goes sideways within the row and stops at its ends', () => {
  expect(walk(0, 'down', 'down', 'left')).toBe('a');
  expect(walk(0, 'down', 'down', 'left', 'left')).toBe('a');
  expect(walk(0, 'down', 'down', 'right', 'right')).toBe('d');
});

it('stays within what is zoomed into', () => {
  const b = largestNodeOf(graph, 'b');
  const bounds = { left: graph.start[b], right: graph.start[b] + graph.total[b] };
  expect(step(graph, b, 'left', bounds)).toBe(b);
  expect(step(graph, b, 'right', bounds)).toBe(b);
});

it('finds a call path again in another graph', () => {
  const later = graphOfStacks('other;b;c 9\nmain;d 4\nmain;b;c 7\nmain;b 2');
  const key = pathKey(graph, largestNodeOf(graph, 'c'));
  const found = nodeOfPath(later, key);
  expect(nameOf(later, found)).toBe('c');
  expect(later.total[found]).toBe(7);
  expect(nodeOfPath(graphOfStacks('x 1'), key)).toBe(-1);
});

it('has no key for the root', () => {
  expect(pathKey(graph, 0)).toBe('');
  expect(pathKey(graph, -1)).toBe('');
  expect(nodeOfPath(graph, '')).toBe(-1);
});

it('takes the largest node of a function', () => {
  const twice = graphOfStacks('x;f 2\ny;f 5');
  expect(twice.total[largestNodeOf(twice, 'f')]).toBe(5);
  expect(largestNodeOf(twice, 'absent')).toBe(-1);
});
