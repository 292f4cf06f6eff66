import { escapeRegex, formatSelector, parseSelector, selectorProblem, withMatcher } from './selector';
import { complete, completionAt } from './suggest';

describe('parseSelector', () => {
  it.each(['', '  ', '{}', '{ }'])('"%s" selects everything', (text) => {
    expect(parseSelector(text)).toEqual([]);
  });

  it('reads names, operators and escaped values', () => {
    expect(parseSelector('{a="x", b!~"y|\\\\d" ,c="say \\"hi\\"",}')).toEqual([
      { name: 'a', operator: '=', value: 'x' },
      { name: 'b', operator: '!~', value: 'y|\\d' },
      { name: 'c', operator: '=', value: 'say "hi"' },
    ]);
  });

  it.each([
    ['a="b"', 'expected "{" at position 1'],
    ['{a}', 'expected one of = != =~ !~ at position 3'],
    ['{a=b}', 'expected a value in double quotes at position 4'],
    ['{a="b"', 'expected "," or "}" at position 7'],
    ['{a="b" c="d"}', 'expected "," or "}" at position 8'],
    ['{a="b"} x', 'unexpected text after "}"'],
    ['{="b"}', 'expected a label name at position 2'],
  ])('%s: %s', (text, problem) => {
    expect(selectorProblem(text)).toBe(problem);
  });

  it('survives a round trip', () => {
    const matchers = parseSelector('{a="x\\ny", b=~"\\\\d\\"+"}');
    expect(parseSelector(formatSelector(matchers))).toEqual(matchers);
  });
});

it('adds a matcher once', () => {
  const added = { name: 'pod', operator: '=' as const, value: 'a"b' };
  const once = withMatcher('{x="1"}', added);
  expect(once).toBe('{x="1", pod="a\\"b"}');
  expect(withMatcher(once, added)).toBe(once);
});

it('escapes what means something in an expression', () => {
  expect(new RegExp(`^${escapeRegex('a.b*(c)|[d]\\')}$`).test('a.b*(c)|[d]\\')).toBe(true);
});

describe('completion', () => {
  /** "|" marks the caret. */
  const at = (marked: string) => completionAt(marked.replace('|', ''), marked.indexOf('|'));
  const chosen = (marked: string, value: string) => {
    const text = marked.replace('|', '');
    const completion = at(marked);
    return completion && complete(text, completion, value);
  };

  it('offers names after { and ,', () => {
    expect(at('|')).toMatchObject({ kind: 'name', typed: '' });
    expect(at('{po|')).toMatchObject({ kind: 'name', typed: 'po' });
    expect(at('{a="b", re|}')).toMatchObject({ kind: 'name', typed: 're' });
    expect(at('{a="b"|}')).toBeNull();
  });

  it('offers values between quotes, narrowed by the matchers before', () => {
    expect(at('{a="b", pod=~"ab|"}')).toMatchObject({ kind: 'value', name: 'pod', typed: 'ab', rest: '{a="b"}' });
    expect(at('{pod="|')).toMatchObject({ kind: 'value', name: 'pod', rest: '{}' });
  });

  it('puts the choice in', () => {
    expect(chosen('|', 'pod')).toEqual({ text: '{pod="', caret: 6 });
    expect(chosen('{po|}', 'pod')).toEqual({ text: '{pod="}', caret: 6 });
    expect(chosen('{po|="x"}', 'pod')).toEqual({ text: '{pod="x"}', caret: 4 });
    expect(chosen('{pod="|', 'a')).toEqual({ text: '{pod="a"}', caret: 8 });
    expect(chosen('{pod="x|y"}', 'a"b')).toEqual({ text: '{pod="a\\"b"}', caret: 11 });
  });
});
