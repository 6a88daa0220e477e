/**
 * The arrows of the architecture: which room may import which. Everything to the right of the snapshot is pure, only
 * collect talks to a cluster, only commands and render know about terminals.
 */
const room = (name) => `^src/${name}/`;
const only = (name, allowed, comment) => ({
  name: `${name}-imports`,
  comment,
  severity: 'error',
  from: { path: room(name) },
  to: { path: '^src/', pathNot: [name, ...allowed].map(room) },
});

export default {
  forbidden: [
    only('snapshot', [], 'the snapshot is a folder of bytes: it knows nothing of what is in them'),
    only('formats', [], 'a parser knows one format and nothing of meshes'),
    only('mesh', ['formats', 'snapshot'], 'the model is made of facts, not of engines'),
    only('netns', ['formats'], 'one packet in one namespace: no meshes, no files'),
    only('ztunnel', ['formats', 'mesh'], 'one connection through one ztunnel'),
    only('envoy', ['formats', 'mesh'], 'one request through one Envoy'),
    only('walk', ['netns', 'ztunnel', 'envoy', 'mesh', 'formats', 'snapshot'], 'the walk joins the engines'),
    only(
      'intent',
      ['mesh', 'formats', 'snapshot', 'walk'],
      'what should be, from API objects, in the shape of a trace',
    ),
    only('seen', ['formats', 'mesh'], 'observations matched to hops'),
    only(
      'checks',
      ['formats', 'snapshot', 'mesh', 'netns', 'ztunnel', 'envoy', 'walk', 'intent', 'seen'],
      'a finding is a difference between truths: it may read all of them',
    ),
    only('collect', ['snapshot'], 'collecting fills a snapshot; reading it is the same code as for a recorded one'),
    {
      name: 'render-types-only',
      comment: 'a renderer decides nothing: it prints the types, and may call only what renders',
      severity: 'error',
      from: { path: room('render') },
      to: { path: '^src/', pathNot: [room('render')], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'cluster-only-in-collect',
      comment: 'one room talks to a cluster',
      severity: 'error',
      from: { path: '^src/', pathNot: [room('collect')] },
      to: { path: '(@kubernetes/client-node|^(node:)?(net|http|https|child_process|tls|dgram)$)' },
    },
    {
      name: 'files-only-where-named',
      comment: 'only the rooms that read or write snapshots, the commands, and what loads their code touch the disk',
      severity: 'error',
      from: { path: '^src/', pathNot: [...['snapshot', 'collect', 'commands'].map(room), '^src/code-cache.ts$'] },
      to: { path: '^(node:)?fs(/promises)?$' },
    },
    {
      name: 'terminal-only-in-render',
      comment: 'chalk and cli-table3 belong to the renderers; the commands hand chalk over',
      severity: 'error',
      from: { path: '^src/', pathNot: [room('render'), room('commands')] },
      to: { path: 'node_modules/(chalk|cli-table3)/' },
    },
    {
      name: 'oclif-only-in-commands',
      comment: 'flags and spinners belong to the commands',
      severity: 'error',
      from: { path: '^src/', pathNot: [room('commands'), '^src/framework.ts$'] },
      to: { path: 'node_modules/(@oclif|ora)/' },
    },
    {
      name: 'no-circular',
      comment: 'a circle has no order in which to read it',
      severity: 'error',
      from: { path: '^src/' },
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'no-tests-in-src',
      comment: 'the program does not depend on its tests',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|scripts|bench)/' },
    },
    {
      name: 'no-dev-dependencies',
      comment: 'what is published installs without development dependencies',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
