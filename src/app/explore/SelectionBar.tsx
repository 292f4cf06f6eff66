import { css } from '@emotion/css';
import { type GrafanaTheme2 } from '@grafana/data';
import { Combobox, Field, useStyles2 } from '@grafana/ui';
import React, { useMemo } from 'react';
import { api } from '../../api/client';
import { escapeValue, parseSelector } from '../../model/selector';
import { profileTypeLabel, sortProfileTypes } from '../../model/profile_type';
import { type ExploreState } from '../../state/explore_state';
import { type MillisRange } from '../../state/time';
import { SelectorInput, type SuggestionSource } from '../../ui/SelectorInput';

interface Props {
  services: string[];
  types: string[];
  service: string;
  type: string;
  selector: string;
  range: MillisRange;
  onChange: (change: Partial<ExploreState>) => void;
}

/** What is looked at: service, profile type, further labels. */
export function SelectionBar({ services, types, service, type, selector, range, onChange }: Props) {
  const styles = useStyles2(getStyles);
  const { from, until } = range;
  const source = useMemo(() => suggestions(service, { from, until }), [service, from, until]);
  return (
    <div className={styles.bar}>
      <Field label="Service" className={styles.field} htmlFor="hearth-service">
        <div data-testid="hearth-service">
          <Combobox
            id="hearth-service"
            options={options(services, service)}
            value={service || null}
            placeholder="Choose a service"
            onChange={({ value }) => onChange({ service: value })}
          />
        </div>
      </Field>
      <Field label="Profile type" className={styles.field} htmlFor="hearth-type">
        <div data-testid="hearth-profile-type">
          <Combobox
            id="hearth-type"
            options={options(sortProfileTypes(types), type).map(({ value }) => ({
              value,
              label: profileTypeLabel(value),
              description: value,
            }))}
            value={type || null}
            placeholder="Choose a profile type"
            onChange={({ value }) => onChange({ type: value })}
          />
        </div>
      </Field>
      <Field label="Labels" className={styles.selector} htmlFor="hearth-labels">
        <SelectorInput
          id="hearth-labels"
          value={selector}
          source={source}
          onCommit={(committed) => onChange({ selector: committed, focus: '' })}
        />
      </Field>
    </div>
  );
}

/** The values as options; what is chosen is one of them even when the server does not list it. */
function options(values: string[], chosen: string): Array<{ value: string; label: string }> {
  const all = chosen === '' || values.includes(chosen) ? values : [chosen, ...values];
  return all.map((value) => ({ value, label: value }));
}

/** Labels of the chosen service only. */
function suggestions(service: string, range: MillisRange): SuggestionSource {
  const within = (selector: string) => {
    const own = service ? [`service_name="${escapeValue(service)}"`] : [];
    const others = parseSelector(selector).length > 0 ? [selector.trim().slice(1, -1)] : [];
    return `{${[...own, ...others].join(', ')}}`;
  };
  return {
    names: (selector, signal) => api.labelNames({ ...range, selector: within(selector) }, signal),
    values: (name, selector, signal) => api.labelValues({ ...range, name, selector: within(selector) }, signal),
  };
}

const getStyles = (theme: GrafanaTheme2) => ({
  bar: css({ display: 'flex', flexWrap: 'wrap', gap: theme.spacing(2) }),
  field: css({ marginBottom: 0, minWidth: 240 }),
  selector: css({ marginBottom: 0, minWidth: 280, flex: 1 }),
});
