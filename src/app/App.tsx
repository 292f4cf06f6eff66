import { type AppRootProps } from '@grafana/data';
import React, { lazy, Suspense } from 'react';
import { LoadingView } from '../ui/states';
import { usePathname } from '../ui/useLocation';
import { type AppSettings } from './settings/settings';

const ServicesPage = lazy(async () => ({ default: (await import('./services/ServicesPage')).ServicesPage }));
const ExplorePage = lazy(async () => ({ default: (await import('./explore/ExplorePage')).ExplorePage }));

/** Chooses the page by the path; the list of services is the front page. */
export function App(_props: AppRootProps<AppSettings>) {
  const page = usePathname().replace(/\/+$/, '').split('/').pop();
  return (
    <Suspense fallback={<LoadingView text="Loading" />}>{page === 'explore' ? <ExplorePage /> : <ServicesPage />}</Suspense>
  );
}
