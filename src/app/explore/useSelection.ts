import { api } from '../../api/client';
import { type Selection, type Service } from '../../api/types';
import { defaultProfileType } from '../../model/profile_type';
import { type ExploreState } from '../../state/explore_state';
import { type MillisRange } from '../../state/time';
import { type Loaded, useLoad } from '../../ui/useLoad';

interface Chosen {
  services: Loaded<Service[]>;
  service: string;
  /** Of the service, in the time range. */
  types: string[];
  type: string;
  /** Null as long as there is no service or no profile type. */
  selection: Selection | null;
}

/** What the page shows: what the URL says, and for what it leaves open the first there is. */
export function useSelection(state: ExploreState, { from, until }: MillisRange, tick: number): Chosen {
  const services = useLoad(`${from} ${until} ${tick}`, (signal) => api.services({ from, until }, signal));
  const service = state.service || services.data?.[0]?.name || '';
  const types = services.data?.find(({ name }) => name === service)?.profileTypes ?? [];
  const type = state.type || defaultProfileType(types) || '';
  const selection = service && type ? { service, type, selector: state.selector, from, until } : null;
  return { services, service, types, type, selection };
}
