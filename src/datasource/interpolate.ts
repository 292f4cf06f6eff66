// Dashboard variables in label selectors. A variable with several values must
// become a regular expression, and its values must not be read as one.
import { type ScopedVars } from '@grafana/data';
import { escapeRegex, formatSelector, type Matcher, type Operator, parseSelector } from '../model/selector';

/** The part of Grafana's template service that is needed here. */
export interface Templates {
  replace(text: string, scopedVars?: ScopedVars, format?: (value: unknown, variable: Variable) => string): string;
}

interface Variable {
  multi?: boolean;
  includeAll?: boolean;
}

/** What stands for a variable's place while the text around it is looked at. */
const MARK = '\u0000';

const AS_REGEX: Record<Operator, Operator> = { '=': '=~', '!=': '!~', '=~': '=~', '!~': '!~' };

/**
 * A selector with its variables filled in: several values become (a|b) and turn
 * = into =~; in a regular expression, values chosen from a list are taken
 * literally, typed ones as they are. What is no selector by itself, such as a
 * variable that holds a whole selector, is filled in as text.
 */
export function interpolateSelector(text: string, templates: Templates, scopedVars?: ScopedVars): string {
  let matchers: Matcher[];
  try {
    matchers = parseSelector(text);
  } catch {
    return templates.replace(text, scopedVars);
  }
  return matchers.length === 0 ? text : formatSelector(matchers.map((matcher) => fill(matcher, templates, scopedVars)));
}

function fill(matcher: Matcher, templates: Templates, scopedVars?: ScopedVars): Matcher {
  const found: Array<{ values: string[]; listed: boolean }> = [];
  const marked = templates.replace(matcher.value, scopedVars, (value, variable) => {
    const listed = Boolean(variable?.multi || variable?.includeAll);
    found.push({ values: (Array.isArray(value) ? value : [value]).map(String), listed });
    return `${MARK}${found.length - 1}${MARK}`;
  });
  // Odd pieces are indices into found.
  const pieces = marked.split(MARK);
  const several = found.some(({ values }) => values.length > 1);
  const isRegex = matcher.operator === '=~' || matcher.operator === '!~';
  const value = pieces
    .map((piece, at) => {
      if (at % 2 === 0) {
        return several && !isRegex ? escapeRegex(piece) : piece;
      }
      const { values, listed } = found[Number(piece)];
      const literal = several && (!isRegex || values.length > 1) ? true : isRegex && listed;
      const parts = literal ? values.map(escapeRegex) : values;
      return parts.length > 1 ? `(${parts.join('|')})` : parts.join('');
    })
    .join('');
  return { ...matcher, operator: several ? AS_REGEX[matcher.operator] : matcher.operator, value };
}
