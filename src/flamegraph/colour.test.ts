import { fillFor, packageOf } from './colour';
import { fitLabel } from './label';

it.each([
  ['runtime.mallocgc', 'runtime'],
  ['encoding/json.(*decodeState).object', 'encoding/json'],
  ['github.com/acme/api/store.(*DB).Get.func1', 'github.com/acme/api/store'],
  ['main.main', 'main'],
  ['java/util/HashMap.put', 'java/util'],
  ['java.util.concurrent.ThreadPoolExecutor.runWorker', 'java.util.concurrent'],
  ['app/models/user.py:load', 'app/models/user.py'],
  ['tokio::runtime::task::poll', 'tokio'],
  ['libc.so.6+0x2a1f', 'libc.so.6'],
  ['malloc', 'malloc'],
])('the package of %s is %s', (name, expected) => {
  expect(packageOf(name)).toBe(expected);
});

it('gives functions of one package one hue, and neutral frames none', () => {
  expect(fillFor('total', false)).toMatch(/^rgb\((\d+), \1, \1\)$/);
  expect(fillFor('runtime.gc', true)).not.toBe(fillFor('runtime.gc', false));
});

it.each([
  ['main.main', 20, 'main.main'],
  ['github.com/acme/api/store.Get', 12, 'store.Get'],
  ['github.com/acme/api/store.Get', 7, 'store.…'],
  ['encoding/json.(*decodeState).object', 16, 'json.(*decodeSt…'],
  ['anything', 2, ''],
])('%s in %i characters is "%s"', (name, characters, expected) => {
  expect(fitLabel(name, characters)).toBe(expected);
});
