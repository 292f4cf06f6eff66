// Icons are fetched by URL in a browser; in tests an empty span stands for them.
import React from 'react';

const Svg = React.forwardRef(function Svg({ src: _src, cacheRequests: _cache, loader: _loader, title: _title, ...props }, ref) {
  return React.createElement('span', { ...props, ref });
});

export default Svg;
