// Paints the boxes of a viewport onto a canvas. Everything that decides what is
// where is in boxes.ts; here are only fills and texts. fillRect per box, never
// one path of thousands of rectangles: that costs seconds.
import { eachBox, ROW_HEIGHT, type Box, type Viewport } from './boxes';
import { nameOf, type FlameGraph, type NodeIndex } from './graph';
import { fitLabel } from './label';
import { type SearchResult } from './search';

export interface Palette {
  /** Fill by NameIndex. */
  fills: string[];
  /** Text on a fill. */
  text: string;
  /** Joined neighbours too narrow to be drawn alone. */
  joined: string;
  /** Text on the callers of the node zoomed into. */
  callerText: string;
  /** Boxes that a search does not match, and the text on them. */
  faded: string;
  fadedText: string;
  outline: string;
  font: string;
}

export interface Scene {
  graph: FlameGraph;
  view: Viewport;
  palette: Palette;
  search: SearchResult | null;
  /** Node under the pointer or the keyboard's cursor; -1 for none. */
  pointed: NodeIndex;
  /** Row of the node zoomed into; the rows above are its callers and stand back. */
  focusRow: number;
}

const CALLER_OPACITY = 0.55;

const TEXT_MARGIN = 4;
const MIN_TEXT_WIDTH = 24;

/** Paints the scene and answers how many nodes have a box of their own. */
export function draw(context: CanvasRenderingContext2D, scene: Scene): number {
  const { graph, view, palette } = scene;
  context.clearRect(0, 0, view.width, view.height);
  context.font = palette.font;
  context.textBaseline = 'middle';
  const characterWidth = context.measureText('M').width || 7;
  let drawn = 0;
  const outlined: Box[] = [];
  eachBox(graph, view, (box) => {
    const lit = isLit(scene, box);
    paint(context, scene, box, lit);
    if (box.count > 1) {
      return;
    }
    drawn++;
    if (box.node === scene.pointed) {
      outlined.push({ ...box });
    }
    write(context, scene, box, lit, characterWidth);
  });
  outlined.forEach((box) => outline(context, scene, box));
  return drawn;
}

function isLit(scene: Scene, box: Box): boolean {
  if (!scene.search) {
    return true;
  }
  for (let node = box.node; node < box.node + box.count; node++) {
    if (scene.search.names[scene.graph.name[node]]) {
      return true;
    }
  }
  return false;
}

function paint(context: CanvasRenderingContext2D, scene: Scene, box: Box, lit: boolean): void {
  const { palette, graph } = scene;
  const own = box.count > 1 && !scene.search ? palette.joined : palette.fills[graph.name[box.node]];
  context.fillStyle = lit ? own : palette.faded;
  const gap = box.width > 3 ? 1 : 0;
  context.globalAlpha = isCaller(scene, box) ? CALLER_OPACITY : 1;
  context.fillRect(box.x, box.y, box.width - gap, ROW_HEIGHT - 1);
  context.globalAlpha = 1;
}

function isCaller(scene: Scene, box: Box): boolean {
  return box.y + scene.view.scrollTop < scene.focusRow * ROW_HEIGHT;
}

function write(context: CanvasRenderingContext2D, scene: Scene, box: Box, lit: boolean, characterWidth: number): void {
  if (box.width < MIN_TEXT_WIDTH) {
    return;
  }
  const characters = Math.floor((box.width - 2 * TEXT_MARGIN) / characterWidth);
  const label = fitLabel(nameOf(scene.graph, box.node), characters);
  if (label) {
    const { text, callerText, fadedText } = scene.palette;
    context.fillStyle = !lit ? fadedText : isCaller(scene, box) ? callerText : text;
    context.fillText(label, box.x + TEXT_MARGIN, box.y + ROW_HEIGHT / 2);
  }
}

function outline(context: CanvasRenderingContext2D, scene: Scene, box: Box): void {
  context.strokeStyle = scene.palette.outline;
  context.lineWidth = 2;
  context.strokeRect(box.x + 1, box.y + 1, Math.max(1, box.width - 3), ROW_HEIGHT - 3);
}
