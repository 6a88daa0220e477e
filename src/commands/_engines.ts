/** What answers and prints, as one: a bundle of its own beside the one that starts (scripts/build.js). */
export { answer } from './_answer.js';
export { renderTrace } from './_render.js';
