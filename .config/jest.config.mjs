// node_modules that are published as ES modules only and so need the transform.
const esm = [
  '@grafana',
  '@openfeature',
  'd3',
  'd3-\\w+',
  'internmap',
  'delaunator',
  'robust-predicates',
  'ol',
  'ol-\\w+',
  'geotiff',
  'rbush',
  'quickselect',
  'quick-lru',
  'color-\\w+',
  'earcut',
  'pbf',
  'uuid',
  'marked',
  'react-calendar',
  'get-user-locale',
  'memoize',
  'mimic-function',
  'react-colorful',
  '@wojtekmaj',
];

export default {
  rootDir: '..',
  roots: ['<rootDir>/src'],
  testTimeout: 60_000,
  testEnvironment: 'jsdom',
  testMatch: ['**/*.test.ts', '**/*.test.tsx'],
  setupFilesAfterEnv: ['<rootDir>/.config/jest_setup.mjs'],
  globals: { PLUGIN_ID: 'hearth-profiles-app' },
  moduleNameMapper: {
    '\\.(svg|png|css)$': '<rootDir>/.config/jest_asset.mjs',
    '^react-inlinesvg$': '<rootDir>/.config/jest_svg.mjs',
  },
  transform: {
    '\\.m?[tj]sx?$': [
      '@swc/jest',
      {
        sourceMaps: 'inline',
        jsc: { target: 'es2022', parser: { syntax: 'typescript', tsx: true }, transform: { react: { runtime: 'classic' } } },
        module: { type: 'commonjs' },
      },
    ],
  },
  transformIgnorePatterns: [`node_modules/(?!(.*/)?(${esm.join('|')})/)`],
};
