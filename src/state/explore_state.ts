// The state of the explore page is its URL: one codec, both ways. What equals
// its default is left out, what does not parse falls back to it, and parameters
// of others (orgId, kiosk …) are carried along untouched.

/** "both" shows flame graph and table side by side. */
export type View = 'both' | 'flamegraph' | 'table';

export interface ExploreState {
  service: string;
  /** A profile type ID; empty: the first of the service. */
  type: string;
  /** Further matchers, as typed: {pod="a"}. */
  selector: string;
  /** Raw ends of the time range: "now-1h" or epoch milliseconds. */
  from: string;
  until: string;
  /** Auto refresh interval like "10s"; empty: off. */
  refresh: string;
  search: string;
  /** Path key of the node zoomed into; empty: the whole. */
  focus: string;
  view: View;
}

export const DEFAULT_STATE: ExploreState = {
  service: '',
  type: '',
  selector: '',
  from: 'now-1h',
  until: 'now',
  refresh: '',
  search: '',
  focus: '',
  view: 'both',
};

const PARAMETERS: Record<keyof ExploreState, string> = {
  service: 'service',
  type: 'type',
  selector: 'selector',
  from: 'from',
  until: 'until',
  refresh: 'refresh',
  search: 'q',
  focus: 'focus',
  view: 'view',
};

const KEYS = Object.keys(PARAMETERS) as Array<keyof ExploreState>;
const TIME = /^(now([+-]\d+[smhdwMy])?(\/[smhdwMy])?|\d{10,16})$/;
const REFRESH = /^\d+[smhd]$/;
const VIEWS: readonly string[] = ['both', 'flamegraph', 'table'];

/** Reads the state from a query string, with or without its "?". */
export function decodeState(query: string): ExploreState {
  const parameters = new URLSearchParams(query);
  const read = (key: keyof ExploreState) => parameters.get(PARAMETERS[key]) ?? '';
  // Grafana's own pages call the end of the range "to".
  const until = read('until') || (parameters.get('to') ?? '');
  const range = isTime(read('from')) && isTime(until);
  return {
    service: read('service'),
    type: read('type'),
    selector: read('selector'),
    from: range ? read('from') : DEFAULT_STATE.from,
    until: range ? until : DEFAULT_STATE.until,
    refresh: REFRESH.test(read('refresh')) ? read('refresh') : '',
    search: read('search'),
    focus: /^[0-9a-z]+$/.test(read('focus')) ? read('focus') : '',
    view: VIEWS.includes(read('view')) ? (read('view') as View) : DEFAULT_STATE.view,
  };
}

/** Writes the state over a query string, which keeps its foreign parameters. */
export function encodeState(state: ExploreState, query = ''): string {
  const parameters = new URLSearchParams(query);
  parameters.delete('to');
  for (const key of KEYS) {
    // The range is always written: a link says what it shows.
    const written = key === 'from' || key === 'until' || state[key] !== DEFAULT_STATE[key];
    if (written && state[key] !== '') {
      parameters.set(PARAMETERS[key], state[key]);
    } else {
      parameters.delete(PARAMETERS[key]);
    }
  }
  return parameters.toString();
}

/** A change, with what it makes meaningless dropped: another service, type or selector is another graph. */
export function changeState(state: ExploreState, change: Partial<ExploreState>): ExploreState {
  const changed = { ...state, ...change };
  if (changed.service !== state.service && change.type === undefined) {
    changed.type = '';
  }
  const sameGraph = changed.service === state.service && changed.type === state.type;
  return sameGraph || change.focus !== undefined ? changed : { ...changed, focus: '' };
}

function isTime(text: string): boolean {
  return TIME.test(text);
}
