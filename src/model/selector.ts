// Label selectors: {service_name="api", pod=~"a|b"}. Parsed for validation,
// suggestions and variables; what is sent to the server stays the user's text.

export type Operator = '=' | '!=' | '=~' | '!~';

export interface Matcher {
  name: string;
  operator: Operator;
  value: string;
}

/** A selector that does not parse; at is the offset of the first character that does not fit. */
export class SelectorError extends Error {
  constructor(
    message: string,
    readonly at: number
  ) {
    super(message);
    this.name = 'SelectorError';
  }
}

const NAME = /^[a-zA-Z_][\w.]*/;
const OPERATOR = /^(=~|!~|!=|=)/;
const STRING = /^"((?:[^"\\]|\\.)*)"/;
const ESCAPES: Record<string, string> = { n: '\n', t: '\t', r: '\r' };

/** Parses a selector; "" and "{}" select everything. Throws SelectorError. */
export function parseSelector(text: string): Matcher[] {
  const reader = new Reader(text);
  if (reader.atEnd()) {
    return [];
  }
  reader.expect('{');
  const matchers: Matcher[] = [];
  while (!reader.accept('}')) {
    if (matchers.length > 0) {
      reader.expect(',', '"," or "}"');
      if (reader.accept('}')) {
        break;
      }
    }
    matchers.push(reader.matcher());
  }
  if (!reader.atEnd()) {
    throw new SelectorError(`unexpected text after "}"`, reader.at);
  }
  return matchers;
}

/** Null when the selector is well-formed, else what is wrong with it. */
export function selectorProblem(text: string): string | null {
  try {
    parseSelector(text);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

export function formatSelector(matchers: readonly Matcher[]): string {
  return `{${matchers.map(({ name, operator, value }) => `${name}${operator}"${escapeValue(value)}"`).join(', ')}}`;
}

/** A label value as it stands between the quotes of a selector. */
export function escapeValue(value: string): string {
  return value.replace(/[\\"]/g, '\\$&').replace(/\n/g, '\\n');
}

/** A literal text within a regular expression. */
export function escapeRegex(value: string): string {
  return value.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

/** The selector with one more matcher; an equal matcher is not added twice. */
export function withMatcher(text: string, added: Matcher): string {
  const matchers = parseSelector(text);
  const known = matchers.some(
    ({ name, operator, value }) => name === added.name && operator === added.operator && value === added.value
  );
  return formatSelector(known ? matchers : [...matchers, added]);
}

class Reader {
  at = 0;

  constructor(private readonly text: string) {}

  atEnd(): boolean {
    this.skipSpace();
    return this.at >= this.text.length;
  }

  accept(character: string): boolean {
    this.skipSpace();
    const found = this.text[this.at] === character;
    this.at += found ? 1 : 0;
    return found;
  }

  expect(character: string, what = `"${character}"`): void {
    if (!this.accept(character)) {
      throw new SelectorError(`expected ${what} at position ${this.at + 1}`, this.at);
    }
  }

  matcher(): Matcher {
    const name = this.take(NAME, 'a label name')[0];
    const operator = this.take(OPERATOR, 'one of = != =~ !~')[1] as Operator;
    const quoted = this.take(STRING, 'a value in double quotes')[1];
    const value = quoted.replace(/\\(.)/g, (_, character: string) => ESCAPES[character] ?? character);
    return { name, operator, value };
  }

  private take(pattern: RegExp, what: string): RegExpExecArray {
    this.skipSpace();
    const found = pattern.exec(this.text.slice(this.at));
    if (!found) {
      throw new SelectorError(`expected ${what} at position ${this.at + 1}`, this.at);
    }
    this.at += found[0].length;
    return found;
  }

  private skipSpace(): void {
    while (this.at < this.text.length && /\s/.test(this.text[this.at])) {
      this.at++;
    }
  }
}
