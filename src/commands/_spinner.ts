/** A file of its own for the reason that collect/yaml.ts names. */
export { default as ora, type Ora } from 'ora';
