import { css } from '@emotion/css';
import { type GrafanaTheme2 } from '@grafana/data';
import { Button, Icon, IconButton, Input, RadioButtonGroup, useStyles2 } from '@grafana/ui';
import React from 'react';
import { type Query, type SearchResult } from '../../flamegraph/search';
import { formatShare } from '../../model/units';
import { type View } from '../../state/explore_state';
import { useDraft } from '../useDraft';

interface Props {
  total: number;
  text: string;
  query: Query;
  found: SearchResult | null;
  zoomed: boolean;
  view: View;
  onSearch: (text: string) => void;
  onReset: () => void;
  onView: (view: View) => void;
}

const VIEWS: Array<{ value: View; label: string }> = [
  { value: 'both', label: 'Both' },
  { value: 'flamegraph', label: 'Flame graph' },
  { value: 'table', label: 'Top table' },
];

/** Search with the share it matches, zoom reset and choice of view. */
export function FlameToolbar({ total, text, query, found, zoomed, view, onSearch, onReset, onView }: Props) {
  const styles = useStyles2(getStyles);
  const [draft, setDraft, clear] = useDraft(text, onSearch);
  return (
    <div className={styles.bar}>
      <div className={styles.search}>
        <Input
          value={draft}
          placeholder="Search functions, or /regex/"
          aria-label="Search functions"
          data-testid="hearth-flamegraph-search"
          invalid={query.kind === 'invalid'}
          prefix={<Icon name="search" />}
          suffix={draft && <IconButton name="times" aria-label="Clear search" onClick={clear} />}
          onChange={(event) => setDraft(event.currentTarget.value)}
          onKeyDown={(event) => event.key === 'Escape' && clear()}
        />
      </div>
      <span className={styles.found} role="status" data-testid="hearth-search-share">
        {searchSummary(query, found, total)}
      </span>
      <Button
        size="sm"
        variant="secondary"
        icon="history-alt"
        disabled={!zoomed}
        onClick={onReset}
        data-testid="hearth-zoom-reset"
      >
        Reset zoom
      </Button>
      <RadioButtonGroup size="sm" options={VIEWS} value={view} onChange={onView} aria-label="View" />
    </div>
  );
}

function searchSummary(query: Query, found: SearchResult | null, total: number): string {
  if (query.kind === 'invalid') {
    return query.reason;
  }
  if (!found) {
    return '';
  }
  const functions = found.functions === 1 ? '1 function' : `${found.functions} functions`;
  return found.functions === 0 ? 'No match' : `${functions}, ${formatShare(found.value, total)} of total`;
}

const getStyles = (theme: GrafanaTheme2) => ({
  bar: css({
    display: 'flex',
    flexWrap: 'wrap',
    alignItems: 'center',
    gap: theme.spacing(1),
    paddingBottom: theme.spacing(1),
  }),
  search: css({ flex: '1 1 220px', maxWidth: 420 }),
  found: css({ flex: 1, color: theme.colors.text.secondary, fontSize: theme.typography.bodySmall.fontSize }),
});
