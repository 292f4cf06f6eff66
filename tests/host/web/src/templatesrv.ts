import { type ScopedVars, type TimeRange } from '@grafana/data';

/** Dashboard variables of the page shown now: their names and chosen values. */
export const variables = new Map<string, string>();

const pattern = /\$(\w+)|\$\{(\w+)(?::\w+)?\}|\[\[(\w+)\]\]/g;

/** Replaces $name, ${name} and [[name]]; names it does not know stay as they are. */
export class HostTemplateSrv {
  private range?: TimeRange;

  getVariables = () => [...variables].map(([name, value]) => ({ type: 'query', name, current: { value, text: value } }));
  containsTemplate = (target?: string) => Boolean(target?.match(pattern));
  updateTimeRange = (range: TimeRange) => {
    this.range = range;
  };

  replace = (target = '', scoped?: ScopedVars) =>
    target.replace(pattern, (match, a?: string, b?: string, c?: string) => {
      const name = a ?? b ?? c ?? '';
      const value = scoped?.[name]?.value ?? variables.get(name) ?? this.builtIn(name);
      return value === undefined ? match : String(value);
    });

  private builtIn(name: string) {
    if (name === '__from') {
      return this.range?.from.valueOf();
    }
    return name === '__to' ? this.range?.to.valueOf() : undefined;
  }
}
