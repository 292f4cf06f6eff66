// Profile type IDs "name:sampleType:sampleUnit:periodType:periodUnit", what to
// call them and which of them to show first.

export interface ProfileType {
  id: string;
  name: string;
  sampleType: string;
  sampleUnit: string;
  periodType: string;
  periodUnit: string;
}

/** Types people look at first, best first. Wildcards stand for any name or unit. */
const PREFERRED = ['process_cpu:cpu:', 'cpu:cpu:', 'itimer:', 'wall:', 'memory:inuse_space:', 'memory:alloc_space:'];

const LABELS: Record<string, string> = {
  'process_cpu:cpu': 'CPU time',
  'process_cpu:samples': 'CPU samples',
  'wall:cpu': 'Wall-clock time',
  'wall:wall': 'Wall-clock time',
  'memory:alloc_space': 'Allocated bytes',
  'memory:alloc_objects': 'Allocated objects',
  'memory:inuse_space': 'In-use bytes',
  'memory:inuse_objects': 'In-use objects',
  'goroutine:goroutine': 'Goroutines',
  'goroutines:goroutine': 'Goroutines',
  'mutex:contentions': 'Mutex contentions',
  'mutex:delay': 'Mutex wait',
  'block:contentions': 'Blocking events',
  'block:delay': 'Blocking time',
  'threadcreate:threadcreate': 'Threads created',
};

/** Null when the text is no profile type ID. */
export function parseProfileType(id: string): ProfileType | null {
  const parts = id.split(':');
  if (parts.length !== 5 || parts[0] === '' || parts[1] === '') {
    return null;
  }
  const [name, sampleType, sampleUnit, periodType, periodUnit] = parts;
  return { id, name, sampleType, sampleUnit, periodType, periodUnit };
}

/** "CPU time" for what is known, "name · sample type" for the rest, the ID itself for what is no ID. */
export function profileTypeLabel(id: string): string {
  const type = parseProfileType(id);
  if (!type) {
    return id;
  }
  const known = LABELS[`${type.name}:${type.sampleType}`];
  return known ?? (type.name === type.sampleType ? type.name : `${type.name} · ${type.sampleType}`);
}

/** The sample unit of a type, "count" when the ID is malformed. */
export function unitOf(id: string): string {
  return parseProfileType(id)?.sampleUnit ?? 'count';
}

/** Most looked-at types first, the rest by ID. */
export function sortProfileTypes(ids: readonly string[]): string[] {
  const rank = (id: string) => {
    const at = PREFERRED.findIndex((prefix) => id.startsWith(prefix));
    return at < 0 ? PREFERRED.length : at;
  };
  return [...ids].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : a > b ? 1 : 0));
}

/** The type to show when none was asked for. */
export function defaultProfileType(ids: readonly string[]): string | undefined {
  return sortProfileTypes(ids)[0];
}
