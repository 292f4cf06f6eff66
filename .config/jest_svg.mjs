// Icons are fetched by URL in a browser; in tests an empty span stands for them.
import React from 'react';

const OWN = new Set(['src', 'cacheRequests', 'loader', 'title', 'innerRef', 'onError', 'onLoad']);

export default function Svg(props) {
  const passed = Object.entries(props).filter(([name]) => !OWN.has(name));
  return React.createElement('span', Object.fromEntries(passed));
}
