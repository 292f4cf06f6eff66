// What tests do with the flame graph's canvas.
import assert from 'node:assert/strict';
import { until } from './wait.mjs';

export const rowHeight = 20;

export function canvasIn(place) {
  return place.getByTestId('hearth-flamegraph-canvas').first();
}

/** Waits until at least `least` boxes are drawn and returns how many. */
export async function drawn(canvas, least = 5) {
  await canvas.waitFor();
  return until(async () => {
    const nodes = Number(await canvas.getAttribute('data-nodes'));
    return nodes >= least && nodes;
  }, `${least} boxes in the flame graph`);
}

/** Says what share of the canvas' pixels is painted, and in how many colours. */
export function paint(canvas) {
  return canvas.evaluate((element) => {
    const { data } = element.getContext('2d').getImageData(0, 0, element.width, element.height);
    const pixels = new Uint32Array(data.buffer);
    const colours = new Set();
    let painted = 0;
    for (const pixel of pixels) {
      painted += pixel >>> 24 === 0 ? 0 : 1;
      colours.add(pixel);
    }
    return { share: painted / pixels.length, colours: colours.size };
  });
}

/** Finds a box in a row that is not the whole width, by what the tooltip says, and returns its place and text. */
export async function pointAtBox(page, canvas, row) {
  const box = await canvas.boundingBox();
  const tooltip = page.getByTestId('hearth-tooltip');
  for (const share of [0.3, 0.5, 0.7, 0.15, 0.85, 0.05, 0.95]) {
    const position = { x: box.width * share, y: rowHeight * (row + 0.5) };
    await canvas.hover({ position });
    if (await tooltip.isVisible()) {
      return { position, text: await tooltip.innerText() };
    }
  }
  return assert.fail(`no box in row ${row}`);
}

export function focusOf(canvas) {
  return canvas.getAttribute('data-focus');
}
