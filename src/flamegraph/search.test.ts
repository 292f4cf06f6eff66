import { graphOfStacks, randomStacks } from '../testing/stacks';
import { nameOf, nodeCount, stackOf } from './graph';
import { compileQuery, search } from './search';

const graph = graphOfStacks(`
  main;runtime.gc;runtime.scan 4
  main;work;runtime.alloc 2
  main;work 3
  Main.other 1
`);

function summary(text: string) {
  const found = search(graph, compileQuery(text));
  return found && { functions: found.functions, nodes: found.nodes, value: found.value };
}

it.each([
  ['runtime', { functions: 3, nodes: 3, value: 6 }],
  ['RUNTIME.SCAN', { functions: 1, nodes: 1, value: 4 }],
  ['main', { functions: 2, nodes: 2, value: 10 }],
  ['/^runtime\\.(gc|alloc)$/', { functions: 2, nodes: 2, value: 6 }],
  ['nothing', { functions: 0, nodes: 0, value: 0 }],
])('%s matches exactly', (text, expected) => {
  expect(summary(text)).toEqual(expected);
});

it('selects nothing for an empty text and for a broken expression', () => {
  expect(summary('  ')).toBeNull();
  expect(compileQuery('/(/').kind).toBe('invalid');
  expect(summary('/(/')).toBeNull();
});

it('takes characters of expressions literally outside slashes', () => {
  expect(compileQuery('(*T).Do').kind).toBe('match');
});

it.each([1, 2, 3])('counts nested matches once (random graph %i)', (seed) => {
  const random = graphOfStacks(randomStacks(seed, 400));
  const matches = (node: number) => ['f1', 'f3'].includes(nameOf(random, node));
  // The plain way: self values of every node that has a match on its stack.
  let expected = 0;
  for (let node = 0; node < nodeCount(random); node++) {
    expected += stackOf(random, node).some(matches) ? random.self[node] : 0;
  }
  expect(search(random, compileQuery('/^f[13]$/'))?.value).toBe(expected);
});
