import { css, cx } from '@emotion/css';
import { type GrafanaTheme2 } from '@grafana/data';
import { IconButton, useStyles2, useTheme2 } from '@grafana/ui';
import React from 'react';
import { fillFor } from '../../flamegraph/colour';
import { type FunctionValue } from '../../flamegraph/top';
import { formatShare, formatValue } from '../../model/units';

interface Props {
  row: FunctionValue;
  /** Position in the whole table, from 1, the header being 1. */
  index: number;
  total: number;
  unit: string;
  chosen: boolean;
  onSearch: (name: string) => void;
  onFocus: (name: string) => void;
}

/** One function: its colour in the graph, its name (click: search), self and total. */
export function TopRow({ row, index, total, unit, chosen, onSearch, onFocus }: Props) {
  const styles = useStyles2(getStyles);
  const theme = useTheme2();
  return (
    <tr className={cx(styles.row, chosen && styles.chosen)} aria-rowindex={index}>
      <td>
        <div className={styles.function}>
          <span className={styles.swatch} style={{ background: fillFor(row.name, theme.isDark) }} />
          <button
            type="button"
            className={styles.name}
            title={row.name}
            aria-pressed={chosen}
            onClick={() => onSearch(chosen ? '' : row.name)}
          >
            <bdi dir="ltr">{row.name}</bdi>
          </button>
          <IconButton
            name="search-plus"
            size="sm"
            className={styles.focus}
            tooltip="Zoom into the largest call"
            onClick={() => onFocus(row.name)}
          />
        </div>
      </td>
      <Value value={row.self} total={total} unit={unit} />
      <Value value={row.total} total={total} unit={unit} />
    </tr>
  );
}

function Value({ value, total, unit }: { value: number; total: number; unit: string }) {
  const styles = useStyles2(getStyles);
  const theme = useTheme2();
  const share = total > 0 ? Math.min(100, (value / total) * 100) : 0;
  const bar = `linear-gradient(to left, ${theme.colors.primary.border} ${share}%, transparent ${share}%)`;
  return (
    <td className={styles.value} style={{ backgroundImage: bar }}>
      {formatValue(value, unit)} <span className={styles.share}>{formatShare(value, total)}</span>
    </td>
  );
}

const getStyles = (theme: GrafanaTheme2) => ({
  row: css({
    height: 28,
    borderBottom: `1px solid ${theme.colors.border.weak}`,
    '&:hover': { background: theme.colors.action.hover },
    '& td': { padding: theme.spacing(0, 1) },
  }),
  chosen: css({ background: theme.colors.action.selected }),
  function: css({ position: 'relative', display: 'flex', alignItems: 'center', gap: theme.spacing(1), minWidth: 0 }),
  swatch: css({ flex: 'none', width: 10, height: 10, borderRadius: 2 }),
  name: css({
    all: 'unset',
    flex: 1,
    cursor: 'pointer',
    overflow: 'hidden',
    textOverflow: 'ellipsis',
    whiteSpace: 'nowrap',
    // The end of a name tells more than its beginning: cut it at the left.
    direction: 'rtl',
    textAlign: 'left',
    fontFamily: theme.typography.fontFamilyMonospace,
    '&:focus-visible': { outline: `2px solid ${theme.colors.primary.main}` },
  }),
  focus: css({
    position: 'absolute',
    right: 0,
    margin: 0,
    opacity: 0,
    background: theme.colors.background.primary,
    'tr:hover &, &:focus-visible': { opacity: 1 },
  }),
  value: css({
    textAlign: 'right',
    whiteSpace: 'nowrap',
    fontVariantNumeric: 'tabular-nums',
    // The share as a line below the text.
    backgroundSize: '100% 2px',
    backgroundPosition: 'bottom',
    backgroundRepeat: 'no-repeat',
  }),
  share: css({ display: 'inline-block', minWidth: 52, color: theme.colors.text.secondary }),
});
