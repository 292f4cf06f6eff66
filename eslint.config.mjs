import reactHooks from 'eslint-plugin-react-hooks';
import tseslint from 'typescript-eslint';

const budgets = {
  complexity: ['error', 12],
  'max-depth': ['error', 4],
  'max-lines': ['error', { max: 250, skipComments: false, skipBlankLines: false }],
  'max-lines-per-function': ['error', { max: 120 }],
};

const noDefaultExport = {
  selector: 'ExportDefaultDeclaration',
  message: 'Use named exports, so that a thing has one name everywhere.',
};

const noReact = {
  patterns: [
    {
      group: ['react', 'react-dom', '@grafana/ui', '@grafana/runtime', '*/ui/*', '*/app/*'],
      message: 'flamegraph/, model/ and state/ hold logic only; React belongs in ui/ and app/.',
    },
  ],
};

export default tseslint.config(
  { ignores: ['dist/**', 'node_modules/**', 'tests/**', 'coverage/**'] },
  {
    files: ['src/**/*.{ts,tsx}'],
    extends: [...tseslint.configs.recommended],
    plugins: { 'react-hooks': reactHooks },
    rules: {
      ...reactHooks.configs.recommended.rules,
      ...budgets,
      'no-console': 'error',
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      'no-restricted-syntax': ['error', noDefaultExport],
    },
  },
  {
    files: ['src/flamegraph/**', 'src/model/**', 'src/state/**'],
    ignores: ['**/*.test.ts'],
    rules: { 'no-restricted-imports': ['error', noReact] },
  },
  {
    files: ['src/**/*.test.{ts,tsx}'],
    rules: { 'max-lines-per-function': 'off' },
  },
  {
    files: ['.config/**/*.mjs'],
    rules: { 'max-lines': ['error', 250] },
  }
);
