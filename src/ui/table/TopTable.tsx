import { css, cx } from '@emotion/css';
import { type GrafanaTheme2 } from '@grafana/data';
import { Icon, useStyles2 } from '@grafana/ui';
import React, { useMemo, useRef, useState } from 'react';
import { type Query } from '../../flamegraph/search';
import { type FunctionValue } from '../../flamegraph/top';
import { useSize } from '../useSize';
import { type Column, type Sorting, sortFunctions, toggled, windowOf } from './sort';
import { TopRow } from './TopRow';

interface Props {
  functions: FunctionValue[];
  total: number;
  unit: string;
  query: Query;
  /** The search text; a row whose name it is shows as chosen. */
  searched: string;
  onSearch: (name: string) => void;
  onFocus: (name: string) => void;
}

const ROW_HEIGHT = 28;
const COLUMNS: Array<{ column: Column; title: string }> = [
  { column: 'name', title: 'Function' },
  { column: 'self', title: 'Self' },
  { column: 'total', title: 'Total' },
];

/** Functions by self or total value. Only the rows in view are rendered, so ten thousand cost no more than fifty. */
export function TopTable({ functions, total, unit, query, searched, onSearch, onFocus }: Props) {
  const styles = useStyles2(getStyles);
  const scroller = useRef<HTMLDivElement>(null);
  const { height } = useSize(scroller);
  const [scrollTop, setScrollTop] = useState(0);
  const [sorting, setSorting] = useState<Sorting>({ column: 'self', descending: true });

  const rows = useMemo(() => {
    const matching = query.kind === 'match' ? functions.filter(({ name }) => query.test(name)) : functions;
    return sortFunctions(matching, sorting);
  }, [functions, query, sorting]);
  const [first, last] = windowOf(rows.length, ROW_HEIGHT, scrollTop, height);

  return (
    <div ref={scroller} className={styles.scroller} onScroll={(event) => setScrollTop(event.currentTarget.scrollTop)}>
      <table className={styles.table} data-testid="hearth-top-table" aria-rowcount={rows.length + 1}>
        <thead>
          <tr>
            {COLUMNS.map(({ column, title }) => (
              <th
                key={column}
                className={cx(column !== 'name' && styles.number)}
                aria-sort={sorting.column === column ? (sorting.descending ? 'descending' : 'ascending') : 'none'}
              >
                <button type="button" onClick={() => setSorting(toggled(sorting, column))}>
                  {title}
                  {sorting.column === column && <Icon name={sorting.descending ? 'arrow-down' : 'arrow-up'} size="sm" />}
                </button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          <tr style={{ height: first * ROW_HEIGHT }} aria-hidden />
          {rows.slice(first, last).map((row, index) => (
            <TopRow
              key={row.name}
              row={row}
              index={first + index + 2}
              total={total}
              unit={unit}
              chosen={row.name === searched}
              onSearch={onSearch}
              onFocus={onFocus}
            />
          ))}
          <tr style={{ height: (rows.length - last) * ROW_HEIGHT }} aria-hidden />
        </tbody>
      </table>
      {rows.length === 0 && <p className={styles.none}>No function matches the search.</p>}
    </div>
  );
}

const getStyles = (theme: GrafanaTheme2) => ({
  scroller: css({ flex: 2, minHeight: 0, minWidth: 0, overflow: 'auto' }),
  table: css({
    width: '100%',
    tableLayout: 'fixed',
    fontSize: theme.typography.bodySmall.fontSize,
    th: {
      position: 'sticky',
      top: 0,
      zIndex: 1,
      height: ROW_HEIGHT,
      background: theme.colors.background.primary,
      boxShadow: `inset 0 -1px ${theme.colors.border.medium}`,
      '&:first-child': { width: 'auto' },
      button: { all: 'unset', cursor: 'pointer', padding: theme.spacing(0, 1), color: theme.colors.text.secondary },
      'button:focus-visible': { outline: `2px solid ${theme.colors.primary.main}` },
    },
  }),
  number: css({ width: 122, textAlign: 'right' }),
  none: css({ padding: theme.spacing(2), color: theme.colors.text.secondary }),
});
