import { css, cx } from '@emotion/css';
import { type GrafanaTheme2 } from '@grafana/data';
import { Input, useStyles2 } from '@grafana/ui';
import React, { useId, useRef, useState } from 'react';
import { selectorProblem } from '../model/selector';
import { complete, type Completion, completionAt } from '../model/suggest';
import { useLoad } from './useLoad';

/** Where suggestions come from. The selector narrows what is suggested. */
export interface SuggestionSource {
  names: (selector: string, signal: AbortSignal) => Promise<string[]>;
  values: (name: string, selector: string, signal: AbortSignal) => Promise<string[]>;
}

interface Props {
  value: string;
  source: SuggestionSource;
  id?: string;
  placeholder?: string;
  /** Called with a well-formed selector when editing ends by Enter or by leaving the field. */
  onCommit: (selector: string) => void;
}

const MAX_SUGGESTIONS = 50;

/** A text field for a label selector that checks it and suggests names and values. */
export function SelectorInput({ value, source, id, placeholder = '{pod="a", region=~"eu-.*"}', onCommit }: Props) {
  const styles = useStyles2(getStyles);
  const listId = useId();
  const input = useRef<HTMLInputElement>(null);
  const [draft, setDraft] = useState<string | null>(null);
  const [completion, setCompletion] = useState<Completion | null>(null);
  const [active, setActive] = useState(-1);
  const text = draft ?? value;
  const problem = selectorProblem(text);
  const suggestions = useSuggestions(completion, source);
  const open = suggestions.length > 0;

  const look = (at: string, caret: number) => {
    setCompletion(completionAt(at, caret));
    setActive(-1);
  };
  const choose = (chosen: string) => {
    if (!completion) {
      return;
    }
    const completed = complete(text, completion, chosen);
    setDraft(completed.text);
    look(completed.text, completed.caret);
    requestAnimationFrame(() => input.current?.setSelectionRange(completed.caret, completed.caret));
  };
  const commit = () => {
    setCompletion(null);
    if (draft !== null && problem === null) {
      onCommit(draft.trim());
      setDraft(null);
    }
  };
  const onKeyDown = (event: React.KeyboardEvent) => {
    const moves: Record<string, number> = { ArrowDown: 1, ArrowUp: -1 };
    if (open && moves[event.key]) {
      event.preventDefault();
      setActive((known) => (known + moves[event.key] + suggestions.length) % suggestions.length);
    } else if (event.key === 'Escape') {
      setCompletion(null);
    } else if ((event.key === 'Enter' || event.key === 'Tab') && open && active >= 0) {
      event.preventDefault();
      choose(suggestions[active]);
    } else if (event.key === 'Enter') {
      commit();
    }
  };

  return (
    <div className={styles.field}>
      <Input
        ref={input}
        id={id}
        value={text}
        placeholder={placeholder}
        invalid={problem !== null && completion === null}
        title={problem ?? undefined}
        role="combobox"
        aria-label="Label selector"
        aria-expanded={open}
        aria-controls={listId}
        aria-activedescendant={active >= 0 ? `${listId}-${active}` : undefined}
        autoComplete="off"
        spellCheck={false}
        data-testid="hearth-selector"
        onChange={(event) => {
          setDraft(event.currentTarget.value);
          look(event.currentTarget.value, event.currentTarget.selectionStart ?? event.currentTarget.value.length);
        }}
        onFocus={(event) => look(text, event.currentTarget.selectionStart ?? text.length)}
        onKeyDown={onKeyDown}
        onBlur={commit}
      />
      {open && (
        <ul id={listId} role="listbox" className={styles.list} aria-label="Suggestions">
          {suggestions.map((suggestion, index) => (
            <li
              key={suggestion}
              id={`${listId}-${index}`}
              role="option"
              aria-selected={index === active}
              className={cx(styles.option, index === active && styles.active)}
              onMouseDown={(event) => {
                event.preventDefault();
                choose(suggestion);
              }}
            >
              {suggestion}
            </li>
          ))}
        </ul>
      )}
      {problem !== null && completion === null && <div className={styles.problem}>{problem}</div>}
    </div>
  );
}

function useSuggestions(completion: Completion | null, source: SuggestionSource): string[] {
  const key = completion && (completion.kind === 'name' ? 'name' : `value ${completion.name} ${completion.rest}`);
  const { data } = useLoad(
    key,
    (signal) =>
      completion?.kind === 'value'
        ? source.values(completion.name, completion.rest, signal)
        : source.names('{}', signal),
    key ?? ''
  );
  const typed = completion?.typed.toLowerCase() ?? '';
  return completion
    ? (data ?? [])
        .filter((candidate) => candidate.toLowerCase().includes(typed) && candidate.toLowerCase() !== typed)
        .slice(0, MAX_SUGGESTIONS)
    : [];
}

const getStyles = (theme: GrafanaTheme2) => ({
  field: css({ position: 'relative', minWidth: 220, flex: 1 }),
  list: css({
    position: 'absolute',
    zIndex: theme.zIndex.dropdown,
    top: '100%',
    left: 0,
    right: 0,
    maxHeight: 280,
    overflowY: 'auto',
    margin: 0,
    padding: theme.spacing(0.5, 0),
    listStyle: 'none',
    background: theme.colors.background.elevated ?? theme.colors.background.primary,
    border: `1px solid ${theme.colors.border.medium}`,
    borderRadius: theme.shape.radius.default,
    boxShadow: theme.shadows.z3,
  }),
  option: css({
    padding: theme.spacing(0.5, 1),
    cursor: 'pointer',
    overflowWrap: 'anywhere',
    '&:hover': { background: theme.colors.action.hover },
  }),
  active: css({ background: theme.colors.action.selected }),
  problem: css({ color: theme.colors.error.text, fontSize: theme.typography.bodySmall.fontSize }),
});
