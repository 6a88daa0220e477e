import { Flags } from '@oclif/core';
import { CONCURRENCY } from './_limits.js';

/** Flags of a live cluster: kubectl's names, kubectl's meaning. */
export const clusterFlags = {
  context: Flags.string({
    multiple: true,
    multipleNonGreedy: true,
    description: 'context of the kubeconfig; may be repeated: several clusters are read as one snapshot',
    helpGroup: 'CLUSTER',
  }),
  kubeconfig: Flags.string({ description: 'kubeconfig file', helpValue: '<file>', helpGroup: 'CLUSTER' }),
  namespace: Flags.string({
    char: 'n',
    description: 'namespace of names that carry none; default: that of the context',
    helpGroup: 'CLUSTER',
  }),
  as: Flags.string({ description: 'user to impersonate', helpGroup: 'CLUSTER' }),
  'as-group': Flags.string({
    multiple: true,
    multipleNonGreedy: true,
    description: 'group to impersonate; may be repeated',
    helpGroup: 'CLUSTER',
  }),
  'request-timeout': Flags.string({
    description: 'time without an answer after which one request is given up (15s, 2m, 500ms)',
    default: '15s',
    helpGroup: 'CLUSTER',
  }),
  concurrency: Flags.integer({
    description: 'requests at the same time',
    default: 8,
    ...CONCURRENCY,
    helpGroup: 'CLUSTER',
  }),
  timings: Flags.boolean({ description: 'say where the time went, on standard error', helpGroup: 'CLUSTER' }),
};

/** For what has a path: only what is on it may get one. */
export const debugFlags = {
  'allow-debug-container': Flags.string({
    description:
      'allow an ephemeral container in a pod of the path (its entry stays), or a pod on a node of it (removed afterwards), of this image, with NET_ADMIN only, where nothing else reads the rules',
    helpValue: '<image>',
    helpGroup: 'CLUSTER',
  }),
};

/** Flags of every command that answers from a cluster or from a snapshot of one. */
export const sourceFlags = {
  snapshot: Flags.string({
    description: 'folder or .tar.gz to answer from instead of a cluster; - reads an archive from standard input',
    helpValue: '<path>',
  }),
  ...clusterFlags,
};
