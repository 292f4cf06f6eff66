import { css } from '@emotion/css';
import { type GrafanaTheme2 } from '@grafana/data';
import { useStyles2, useTheme2 } from '@grafana/ui';
import React, { useEffect, useMemo, useRef, useState } from 'react';
import { contentHeight, viewportFor } from '../../flamegraph/boxes';
import { type FlameGraph, nameOf, type NodeIndex, rowOf } from '../../flamegraph/graph';
import { type SearchResult } from '../../flamegraph/search';
import { formatValue } from '../../model/units';
import { useSize } from '../useSize';
import { FlameMenu } from './FlameMenu';
import { describe, FlameTooltip } from './FlameTooltip';
import { paletteFor } from './palette';
import { type Pointed, scrollTo, usePointed } from './usePointed';
import { usePainter } from './usePainter';

interface Props {
  graph: FlameGraph;
  /** Node zoomed into; -1: the whole. */
  focus: NodeIndex;
  search: SearchResult | null;
  onFocus: (node: NodeIndex) => void;
  onSearch: (name: string) => void;
}

/** The drawing: a canvas as large as its viewport, stuck to the top of a scrolled area as high as the graph. */
export function FlameCanvas({ graph, focus, search, onFocus, onSearch }: Props) {
  const styles = useStyles2(getStyles);
  const theme = useTheme2();
  const scroller = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const { width, height } = useSize(scroller);
  const [scrollTop, setScrollTop] = useState(0);
  const [menu, setMenu] = useState<Pointed | null>(null);

  const palette = useMemo(() => paletteFor(theme, graph.names), [theme, graph]);
  const view = useMemo(
    () => viewportFor(graph, focus, { width, height, scrollTop }),
    [graph, focus, width, height, scrollTop]
  );
  const { pointed, point, under, onKeyDown } = usePointed({ graph, view, focus, scroller, onFocus });
  const focusRow = focus > 0 ? rowOf(graph, focus) : 0;
  usePainter(canvas, { graph, view, palette, search, pointed: pointed?.node ?? -1, focusRow });
  useEffect(() => scrollTo(scroller.current, focusRow), [focusRow]);

  const openMenu = (event: React.MouseEvent<HTMLElement>) => {
    const found = under(event);
    if (found) {
      event.preventDefault();
      point(null);
      setMenu(found);
    }
  };
  const zoom = (event: React.MouseEvent<HTMLElement>) => {
    const found = under(event);
    if (found) {
      point(null);
      onFocus(found.node);
    }
  };

  return (
    <div ref={scroller} className={styles.scroller} onScroll={(event) => setScrollTop(event.currentTarget.scrollTop)}>
      <div style={{ height: Math.max(contentHeight(graph), 1) }}>
        <canvas
          ref={canvas}
          className={styles.canvas}
          style={{ width, height }}
          tabIndex={0}
          role="application"
          aria-roledescription="flame graph"
          aria-label={`Flame graph, total ${formatValue(graph.totalValue, graph.unit)}. Arrow keys move between functions, Enter zooms, Escape resets.`}
          data-testid="hearth-flamegraph-canvas"
          data-focus={focus > 0 ? nameOf(graph, focus) : ''}
          data-matches={search?.nodes ?? 0}
          onMouseMove={(event) => point(under(event))}
          onMouseLeave={() => point(null)}
          onBlur={() => point(null)}
          onClick={zoom}
          onContextMenu={openMenu}
          onKeyDown={onKeyDown}
        />
      </div>
      <div className={styles.hidden} aria-live="polite">
        {pointed?.byKeyboard ? describe(graph, pointed.node) : ''}
      </div>
      {pointed && !menu && <FlameTooltip graph={graph} focus={focus} {...pointed} />}
      {menu && (
        <FlameMenu
          name={nameOf(graph, menu.node)}
          x={menu.x}
          y={menu.y}
          zoomed={focus > 0}
          onZoom={() => onFocus(menu.node)}
          onReset={() => onFocus(-1)}
          onSearch={() => onSearch(nameOf(graph, menu.node))}
          onClose={() => setMenu(null)}
        />
      )}
    </div>
  );
}

const getStyles = (theme: GrafanaTheme2) => ({
  scroller: css({ flex: 3, minHeight: 0, minWidth: 0, overflowX: 'hidden', overflowY: 'auto', position: 'relative' }),
  /** Read out, not seen. */
  hidden: css({ position: 'absolute', width: 1, height: 1, overflow: 'hidden', clipPath: 'inset(50%)' }),
  canvas: css({
    position: 'sticky',
    top: 0,
    display: 'block',
    cursor: 'pointer',
    '&:focus-visible': { outline: `2px solid ${theme.colors.primary.main}`, outlineOffset: -2 },
  }),
});
