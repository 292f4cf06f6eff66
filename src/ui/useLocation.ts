import { locationService } from '@grafana/runtime';
import { useSyncExternalStore } from 'react';

function subscribe(changed: () => void): () => void {
  return locationService.getHistory().listen(changed);
}

/** The path of the page, kept up to date. */
export function usePathname(): string {
  return useSyncExternalStore(subscribe, () => locationService.getLocation().pathname);
}

/** The query string of the page, kept up to date. */
export function useQueryString(): string {
  return useSyncExternalStore(subscribe, () => locationService.getLocation().search);
}
