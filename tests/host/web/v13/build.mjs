import { rspack } from '@rspack/core';
import { buildHost } from '../build.mjs';

await buildHost(rspack, import.meta.dirname);
