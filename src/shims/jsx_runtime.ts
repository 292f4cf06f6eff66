// The automatic JSX runtime in terms of createElement. Grafana 11.6 shares
// react with plugins but react/jsx-runtime only from 11.6.11 on, and bundling
// React's own runtime breaks under another React version.
import { createElement, Fragment, type ElementType, type Key, type ReactNode } from 'react';

type Props = Record<string, unknown> & { children?: ReactNode };

export function jsx(type: ElementType, props: Props, key?: Key) {
  const { children, ...rest } = props;
  const withKey = key === undefined ? rest : { ...rest, key };
  return Array.isArray(children) ? createElement(type, withKey, ...children) : createElement(type, withKey, children);
}

export const jsxs = jsx;
export const jsxDEV = jsx;
export { Fragment };
