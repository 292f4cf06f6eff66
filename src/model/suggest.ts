// What could be typed next in a selector, given the caret: the editor asks the
// server for the names or values and offers them.

/** The piece of text that a suggestion would replace, and what kind it is. */
export type Completion =
  | { kind: 'name'; from: number; to: number; typed: string }
  | { kind: 'value'; from: number; to: number; typed: string; name: string; rest: string };

/** Null where nothing can be suggested. */
export function completionAt(text: string, caret: number): Completion | null {
  const before = text.slice(0, caret);
  const value = /([a-zA-Z_][\w.]*)\s*(?:=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)$/.exec(before);
  if (value && quotesBefore(before) % 2 === 1) {
    const typed = value[2];
    const end = /^(?:[^"\\]|\\.)*/.exec(text.slice(caret))?.[0].length ?? 0;
    const from = caret - typed.length;
    return { kind: 'value', from, to: caret + end, typed, name: value[1], rest: otherMatchers(text, value.index) };
  }
  if (quotesBefore(before) % 2 === 1) {
    return null;
  }
  const name = /(?:^|[{,])\s*([a-zA-Z_][\w.]*)?$/.exec(before);
  if (!name) {
    return null;
  }
  const typed = name[1] ?? '';
  const end = /^[\w.]*/.exec(text.slice(caret))?.[0].length ?? 0;
  return { kind: 'name', from: caret - typed.length, to: caret + end, typed };
}

/** The text with a suggestion put in, and where the caret goes. */
export function complete(text: string, completion: Completion, chosen: string): { text: string; caret: number } {
  const head = text.slice(0, completion.from);
  const tail = text.slice(completion.to);
  if (completion.kind === 'value') {
    const closed = tail.startsWith('"') ? tail : `"${tail}`;
    const done = closed.includes('}') ? closed : `${closed}}`;
    const value = chosen.replace(/[\\"]/g, '\\$&');
    return { text: `${head}${value}${done}`, caret: head.length + value.length + 1 };
  }
  const opened = head.includes('{') ? head : `{${head}`;
  const operator = /^\s*[=!]/.test(tail) ? '' : '="';
  const completed = `${opened}${chosen}${operator}${tail}`;
  return { text: completed, caret: opened.length + chosen.length + operator.length };
}

function quotesBefore(text: string): number {
  return text.replace(/\\./g, '').split('"').length - 1;
}

/** The complete matchers before the one being typed, as a selector that narrows its values. */
function otherMatchers(text: string, upTo: number): string {
  const head = text.slice(0, upTo).replace(/,\s*$/, '').trim();
  return head === '' || head === '{' ? '{}' : `${head}}`;
}
