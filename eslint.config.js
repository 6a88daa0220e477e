import tseslint from 'typescript-eslint';

const ENGINES = [
  'src/netns/**',
  'src/ztunnel/**',
  'src/envoy/**',
  'src/walk/**',
  'src/intent/**',
  'src/checks/**',
  'src/mesh/**',
  'src/formats/**',
  'src/render/**',
];

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', 'coverage/', '.venv/', '**/fixtures/**', 'test/cluster/tools/**'] },
  ...tseslint.configs.recommended,
  {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-explicit-any': 'error',
      'no-console': 'error',
    },
  },
  {
    // Same snapshot, same answer: no clock, no chance, no environment, no waiting to the right of the snapshot.
    files: ENGINES,
    rules: {
      'no-restricted-globals': ['error', 'process', 'setTimeout', 'setInterval', 'fetch'],
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now', message: 'ages are taken against capturedAt of the snapshot' },
        { object: 'Math', property: 'random', message: 'same snapshot, same answer' },
      ],
    },
  },
  // CommonJS starts sooner than ES modules.
  { files: ['bin/**'], rules: { '@typescript-eslint/no-require-imports': 'off' } },
  { files: ['scripts/**', 'bench/**', 'bin/**', '**/*.js', '**/*.mjs'], rules: { 'no-console': 'off' } },
);
