// The app's pages and how to get to them.
import { locationService } from '@grafana/runtime';
import { type MouseEvent } from 'react';
import { DEFAULT_STATE, encodeState, type ExploreState } from '../state/explore_state';

const BASE = `/a/${PLUGIN_ID}`;

export const servicesUrl = `${BASE}/services`;
export const settingsUrl = `/plugins/${PLUGIN_ID}?page=configuration`;

export function exploreUrl(state: Partial<ExploreState>): string {
  return `${BASE}/explore?${encodeState({ ...DEFAULT_STATE, ...state })}`;
}

/** Follows a link within Grafana without loading the page anew; modified clicks are the browser's. */
export function follow(url: string) {
  return (event: MouseEvent) => {
    if (event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey) {
      event.preventDefault();
      locationService.push(url);
    }
  };
}
