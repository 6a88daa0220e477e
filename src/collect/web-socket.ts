/** Loaded with the first stream: lists need no WebSocket. A file of its own for the reason that yaml.ts names. */
export { WebSocket } from 'ws';
