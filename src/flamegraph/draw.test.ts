import { graphOfStacks } from '../testing/stacks';
import { viewportFor } from './boxes';
import { draw, type Palette } from './draw';
import { compileQuery, search } from './search';

const PALETTE: Omit<Palette, 'fills'> = {
  text: 'text',
  callerText: 'callerText',
  joined: 'joined',
  faded: 'faded',
  fadedText: 'fadedText',
  outline: 'outline',
  font: '12px monospace',
};

/** Records what is painted, as "fill x,y,width". */
function recorder() {
  const painted: string[] = [];
  const texts: string[] = [];
  const context = {
    fillStyle: '',
    globalAlpha: 1,
    clearRect: () => undefined,
    measureText: () => ({ width: 7 }),
    fillRect: (x: number, y: number, width: number) => painted.push(`${context.fillStyle} ${x},${y},${width}`),
    fillText: (text: string) => texts.push(text),
    strokeRect: (x: number, y: number) => painted.push(`outline ${x},${y}`),
  };
  return { context: context as unknown as CanvasRenderingContext2D, painted, texts };
}

function paint(text: string, options: { searched?: string; pointed?: number } = {}) {
  const graph = graphOfStacks(text);
  const { context, painted, texts } = recorder();
  const drawn = draw(context, {
    graph,
    view: viewportFor(graph, -1, { width: 600, height: 200, scrollTop: 0 }),
    palette: { ...PALETTE, fills: graph.names },
    search: search(graph, compileQuery(options.searched ?? '')),
    pointed: options.pointed ?? -1,
    focusRow: 0,
  });
  return { drawn, painted, texts };
}

it('fills each box with its colour and writes its name', () => {
  const { drawn, painted, texts } = paint('alpha 4\nbeta 2');
  expect(drawn).toBe(3);
  expect(painted).toEqual(['total 0,0,599', 'alpha 0,20,399', 'beta 400,20,199']);
  expect(texts).toEqual(['total', 'alpha', 'beta']);
});

it('fades what a search does not match and outlines what is pointed at', () => {
  const { painted } = paint('alpha 4\nbeta 2', { searched: 'alp', pointed: 2 });
  expect(painted).toEqual(['faded 0,0,599', 'alpha 0,20,399', 'faded 400,20,199', 'outline 401,21']);
});

it('joins what is too narrow and counts only what is drawn alone', () => {
  const { drawn, painted } = paint(`wide 5000\n${Array.from({ length: 1000 }, (_, i) => `f${i} 1`).join('\n')}`);
  expect(drawn).toBe(2);
  expect(painted.filter((line) => line.startsWith('joined')).length).toBeGreaterThan(10);
});
