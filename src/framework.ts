/** The command framework, in a module of its own so that it is loaded only where it is needed. */
export { flush, handle, run } from '@oclif/core';
