import { createRoot } from 'react-dom/client';
import { HostApp } from './HostApp';
import { shareModules } from './shared';
import { setSingletons } from './singletons';

/** Does what Grafana does before its first page: shared modules, services, then the router. */
export async function start(element: HTMLElement) {
  await setSingletons();
  shareModules();
  createRoot(element).render(<HostApp />);
}
