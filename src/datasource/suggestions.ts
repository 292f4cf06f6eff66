import { type TimeRange } from '@grafana/data';
import { millis } from '../state/time';
import { type SuggestionSource } from '../ui/SelectorInput';
import { type HearthDataSource } from './datasource';

/** Label names and values of a data source, for the selector field. */
export function suggestionsOf(datasource: HearthDataSource, range: TimeRange | undefined): SuggestionSource {
  const within = range && millis(range);
  return {
    names: (selector) => datasource.labelNames(selector, within),
    values: (name, selector) => datasource.labelValues(name, selector, within),
  };
}
