import { graphOfStacks, randomStacks } from '../testing/stacks';
import { topFunctions } from './top';

it('counts a recursive function once', () => {
  const graph = graphOfStacks('main;f;f;g 3\nmain;f;g;f 2\nmain 1');
  expect(topFunctions(graph)).toEqual([
    { name: 'g', self: 3, total: 5 },
    { name: 'f', self: 2, total: 5 },
    { name: 'main', self: 1, total: 6 },
    { name: 'total', self: 0, total: 6 },
  ]);
});

it.each([1, 2, 3])('agrees with summing the stacks (random graph %i)', (seed) => {
  const text = randomStacks(seed, 300);
  const expected = new Map<string, { self: number; total: number }>();
  for (const line of text.split('\n')) {
    const [stack, value] = line.split(' ');
    const names = stack.split(';');
    new Set(names).forEach((name) => {
      const known = expected.get(name) ?? { self: 0, total: 0 };
      const own = names[names.length - 1] === name ? Number(value) : 0;
      expected.set(name, { self: known.self + own, total: known.total + Number(value) });
    });
  }
  for (const { name, self, total } of topFunctions(graphOfStacks(text)).filter(({ name: n }) => n !== 'total')) {
    expect({ self, total }).toEqual(expected.get(name));
  }
});
