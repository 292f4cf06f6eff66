import { locationService } from '@grafana/runtime';
import { useMemo } from 'react';
import { changeState, decodeState, encodeState, type ExploreState } from '../state/explore_state';
import { useQueryString } from '../ui/useLocation';

type Change = (change: Partial<ExploreState>) => void;

/** Changes that are steps of one look, not pages to go back to. */
const REPLACED: ReadonlyArray<keyof ExploreState> = ['search', 'refresh'];

/** The page's state, which is its URL, and how to change it. */
export function useUrlState(): [ExploreState, Change] {
  const query = useQueryString();
  const state = useMemo(() => decodeState(query), [query]);

  const change: Change = (wanted) => {
    const { pathname, search } = locationService.getLocation();
    const next = encodeState(changeState(decodeState(search), wanted), search);
    if (next === search.replace(/^\?/, '')) {
      return;
    }
    const url = `${pathname}?${next}`;
    const replace = Object.keys(wanted).every((key) => REPLACED.includes(key as keyof ExploreState));
    if (replace) {
      locationService.replace(url);
    } else {
      locationService.push(url);
    }
  };
  return [state, change];
}
