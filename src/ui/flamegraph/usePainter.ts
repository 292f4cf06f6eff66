import { type RefObject, useLayoutEffect } from 'react';
import { draw, type Scene } from '../../flamegraph/draw';

/** Paints the scene after each change and notes on the canvas how many boxes it drew. */
export function usePainter(canvas: RefObject<HTMLCanvasElement | null>, scene: Scene): void {
  const { graph, view, palette, search, pointed, focusRow } = scene;
  useLayoutEffect(
    () => paint(canvas.current, { graph, view, palette, search, pointed, focusRow }),
    [canvas, graph, view, palette, search, pointed, focusRow]
  );
}

/** Paints at the resolution of the screen. */
function paint(canvas: HTMLCanvasElement | null, scene: Scene): void {
  const context = canvas?.getContext('2d');
  if (!canvas || !context) {
    return;
  }
  const ratio = window.devicePixelRatio || 1;
  const width = Math.round(scene.view.width * ratio);
  const height = Math.round(scene.view.height * ratio);
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  canvas.dataset.nodes = String(draw(context, scene));
}
