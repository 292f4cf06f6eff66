import { type FunctionValue } from '../../flamegraph/top';

export type Column = 'name' | 'self' | 'total';

export interface Sorting {
  column: Column;
  descending: boolean;
}

/** A copy in the wanted order; equal values by name, so that the order is always the same. */
export function sortFunctions(functions: readonly FunctionValue[], { column, descending }: Sorting): FunctionValue[] {
  const byName = (a: FunctionValue, b: FunctionValue) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
  const sign = descending ? -1 : 1;
  return [...functions].sort((a, b) =>
    column === 'name' ? sign * byName(a, b) : sign * (a[column] - b[column]) || byName(a, b)
  );
}

/** The order after a click on a header: the other way round, or the column's natural one. */
export function toggled(sorting: Sorting, column: Column): Sorting {
  const descending = sorting.column === column ? !sorting.descending : column !== 'name';
  return { column, descending };
}

/** Which rows of a long list to render: those in the viewport and some around it. */
export function windowOf(count: number, rowHeight: number, scrollTop: number, height: number): [number, number] {
  const margin = 10;
  // Before the first measurement a screenful is assumed.
  const visible = Math.ceil((height || 600) / rowHeight);
  const first = Math.max(0, Math.min(Math.floor(scrollTop / rowHeight), count - visible) - margin);
  return [first, Math.min(count, first + visible + 2 * margin)];
}
