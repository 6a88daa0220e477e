/**
 * Loaded with the first kubeconfig. A file of its own, since a named import survives bundling, and the dynamic import of a
 * CommonJS package does not give names.
 */
export { parse as parseYaml } from 'yaml';
