/** The module of pg by which cursors and others of its own packages make parameters; its types leave it out. */
declare module 'pg/lib/utils.js' {
  /** A parameter as it is sent: bytes as they are, null for nothing, all else as text. */
  export function prepareValue(value: unknown): Buffer | string | null;
}
