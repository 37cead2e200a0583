/** Where Node keeps what it made of the sources, so that the many programs that tests start need not compile them anew. */
import { fileURLToPath } from 'node:url';

/** A part of the environment of such a program. `npm ci` empties it. */
export const COMPILE_CACHE = {
  NODE_COMPILE_CACHE: fileURLToPath(new URL('../../node_modules/.cache/compiled', import.meta.url)),
};
