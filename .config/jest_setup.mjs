// What jsdom lacks and @grafana/ui asks for.
import '@testing-library/jest-dom';
import { configure } from '@testing-library/react';
import { TextDecoder, TextEncoder } from 'node:util';

// Only a ceiling: what is awaited comes at once, unless the machine is busy.
configure({ asyncUtilTimeout: 15_000 });

Object.assign(globalThis, { TextDecoder, TextEncoder });

class NoObserver {
  observe() {}
  unobserve() {}
  disconnect() {}
  takeRecords() {
    return [];
  }
}
Object.assign(globalThis, { ResizeObserver: NoObserver, IntersectionObserver: NoObserver });

window.matchMedia = (query) => ({
  matches: false,
  media: query,
  onchange: null,
  addListener() {},
  removeListener() {},
  addEventListener() {},
  removeEventListener() {},
  dispatchEvent: () => false,
});

/** A drawing context that measures text at 7 px a character and draws nothing. */
HTMLCanvasElement.prototype.getContext = function getContext() {
  const context = { canvas: this, measureText: (text) => ({ width: text.length * 7 }) };
  return new Proxy(context, { get: (target, key) => (key in target ? target[key] : () => undefined), set: () => true });
};
