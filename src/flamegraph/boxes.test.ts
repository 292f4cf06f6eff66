import { graphOfStacks, randomStacks } from '../testing/stacks';
import { type Box, centreOf, contentHeight, eachBox, MIN_BOX_PX, nodeAt, ROW_HEIGHT, viewportFor } from './boxes';
import { endOf, type FlameGraph, nameOf, nodeCount, rowOf } from './graph';

const SIZE = { width: 600, height: 400, scrollTop: 0 };

function boxesOf(graph: FlameGraph, focus = -1, size = SIZE): Box[] {
  const boxes: Box[] = [];
  eachBox(graph, viewportFor(graph, focus, size), (box) => boxes.push({ ...box }));
  return boxes;
}

describe('eachBox', () => {
  const graph = graphOfStacks('main;a 3\nmain;b;c 2\nmain 1');

  it('scales values to pixels', () => {
    const seen = boxesOf(graph).map(({ node, x, y, width }) => [nameOf(graph, node), x, y, width]);
    expect(seen).toEqual([
      ['total', 0, 0, 600],
      ['main', 0, 20, 600],
      ['a', 100, 40, 300],
      ['b', 400, 40, 200],
      ['c', 400, 60, 200],
    ]);
  });

  it('shows callers over the full width and nothing beside the node zoomed into', () => {
    const b = 3;
    const seen = boxesOf(graph, b).map(({ node, x, width }) => [nameOf(graph, node), x, width]);
    expect(seen).toEqual([
      ['total', 0, 600],
      ['main', 0, 600],
      ['b', 0, 600],
      ['c', 0, 600],
    ]);
  });

  it('leaves out rows above and below the viewport', () => {
    const rows = new Set(boxesOf(graph, -1, { width: 600, height: 20, scrollTop: 40 }).map(({ node }) => rowOf(graph, node)));
    expect([...rows]).toEqual([2]);
  });

  it('draws nothing without an area or a value', () => {
    expect(boxesOf(graph, -1, { width: 0, height: 0, scrollTop: 0 })).toEqual([]);
    expect(boxesOf(graphOfStacks(' 0'))).toEqual([]);
  });

  it.each([1, 2, 3, 4, 5])('joins narrow neighbours and never a wide one (random graph %i)', (seed) => {
    const random = graphOfStacks(randomStacks(seed, 3000));
    for (const focus of [-1, 5, 40]) {
      const view = viewportFor(random, focus, SIZE);
      const scale = SIZE.width / (view.right - view.left);
      const boxes = boxesOf(random, focus);
      const ends = boxes.filter(({ count }) => count > 1).flatMap(({ node, count }) => [node, node + count - 1]);
      expect(Math.max(0, ...ends.map((node) => random.total[node] * scale))).toBeLessThan(MIN_BOX_PX);
      expect(Math.min(...boxes.map(({ x }) => x))).toBeGreaterThanOrEqual(0);
      expect(Math.max(...boxes.map(({ x, width }) => x + width))).toBeLessThanOrEqual(SIZE.width + 1);

      // Everything in the range is drawn, alone or joined, and once.
      const drawn = boxes.flatMap(({ node, count }) => Array.from({ length: count }, (_, i) => node + i));
      const visible = Array.from({ length: nodeCount(random) }, (_, node) => node).filter(
        (node) => endOf(random, node) > view.left && random.start[node] < view.right
      );
      expect(drawn).toEqual(visible);
    }
  });

  it('draws few boxes of many nodes', () => {
    const flat = graphOfStacks(Array.from({ length: 20_000 }, (_, i) => `f${i} 1`).join('\n'));
    expect(boxesOf(flat).length).toBeLessThan(SIZE.width);
  });
});

describe('nodeAt', () => {
  const graph = graphOfStacks('main;a 3\nmain;b;c 2\nmain 1');
  const view = viewportFor(graph, -1, SIZE);

  it.each([
    [300, 10, 'total'],
    [50, 30, 'main'],
    [101, 50, 'a'],
    [399, 50, 'a'],
    [401, 50, 'b'],
    [500, 70, 'c'],
  ])('finds what is at %i,%i', (x, y, name) => {
    expect(nameOf(graph, nodeAt(graph, view, x, y))).toBe(name);
  });

  it.each([
    [50, 50],
    [300, 90],
    [-5, 10],
    [700, 10],
  ])('finds nothing at %i,%i', (x, y) => {
    expect(nodeAt(graph, view, x, y)).toBe(-1);
  });

  it('agrees with where boxes are drawn, scrolled and zoomed', () => {
    const random = graphOfStacks(randomStacks(9, 500));
    const scrolled = { width: 600, height: 80, scrollTop: 37 };
    const zoomed = viewportFor(random, 3, scrolled);
    eachBox(random, zoomed, (box) => {
      if (box.count === 1 && box.width > 1) {
        expect(nodeAt(random, zoomed, box.x + box.width / 2, box.y + ROW_HEIGHT / 2)).toBe(box.node);
        const { x, y } = centreOf(random, zoomed, box.node);
        expect(nodeAt(random, zoomed, x, y)).toBe(box.node);
      }
    });
  });
});

it('is as high as its rows', () => {
  expect(contentHeight(graphOfStacks('a;b;c 1'))).toBe(4 * ROW_HEIGHT);
});
