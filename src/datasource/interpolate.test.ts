import { interpolateSelector, type Templates } from './interpolate';

/** Replaces $name the way Grafana's template service does. */
function templates(variables: Record<string, { value: unknown; multi?: boolean }>): Templates {
  return {
    replace: (text, _scoped, format) =>
      text.replace(/\$(\w+)/g, (all, name: string) => {
        const variable = variables[name];
        return variable === undefined ? all : format ? format(variable.value, variable) : String(variable.value);
      }),
  };
}

const known = templates({
  one: { value: 'a.b', multi: true },
  two: { value: ['a.b', 'c"d'], multi: true },
  typed: { value: 'x.*' },
  whole: { value: '{pod="p"}' },
});

it.each([
  ['', ''],
  ['{}', '{}'],
  ['{pod="x"}', '{pod="x"}'],
  ['{pod="$one"}', '{pod="a.b"}'],
  ['{pod=~"$one"}', '{pod=~"a\\\\.b"}'],
  ['{pod=~"$typed"}', '{pod=~"x.*"}'],
  ['{pod="$two"}', '{pod=~"(a\\\\.b|c\\"d)"}'],
  ['{pod!="p.$two"}', '{pod!~"p\\\\.(a\\\\.b|c\\"d)"}'],
  ['{pod=~"p.$two"}', '{pod=~"p.(a\\\\.b|c\\"d)"}'],
  ['$whole', '{pod="p"}'],
])('%s becomes %s', (text, expected) => {
  expect(interpolateSelector(text, known)).toBe(expected);
});
