/**
 * What a seal is bound to besides its key: the associated data of AES-GCM. Each is a frame with a label of its own, so
 * that no sealed bytes can pass for others, on the way or in a table.
 */
import { frame, u64 } from './bytes.ts';

/** The path that seals are bound to, `/passmanager.data.v1.DataService/GetEntry`: without any prefix of a URL. */
export function methodPath(method: {
  readonly parent: { readonly typeName: string };
  readonly name: string;
}): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/** A request's. `method` is what methodPath gives; `n` the request number. */
export function requestAad(method: string, sessionId: string, n: bigint): Uint8Array {
  return frame('passmanager/v1 request', method, sessionId, u64(n));
}

/** A response's, of the request with number `n`. */
export function responseAad(method: string, sessionId: string, n: bigint): Uint8Array {
  return frame('passmanager/v1 response', method, sessionId, u64(n));
}

/** A failure's, of the request with number `n`. */
export function failureAad(method: string, sessionId: string, n: bigint): Uint8Array {
  return frame('passmanager/v1 failure', method, sessionId, u64(n));
}

/** One message's of a stream; `sequence` counts them from 0. */
export function streamAad(method: string, sessionId: string, n: bigint, sequence: bigint): Uint8Array {
  return frame('passmanager/v1 stream', method, sessionId, u64(n), u64(sequence));
}

/** The sealed part's of a login's answer. */
export function loginResultAad(sessionId: string): Uint8Array {
  return frame('passmanager/v1 login result', sessionId);
}

/** The vault header's. The master key that seals it belongs to one password of one user, so there is nothing to name. */
export function vaultHeaderAad(): Uint8Array {
  return frame('passmanager/v1 vault header');
}

/** An entry name's. */
export function entryNameAad(entryId: string): Uint8Array {
  return frame('passmanager/v1 entry name', entryId);
}

/** An entry data's. */
export function entryDataAad(entryId: string): Uint8Array {
  return frame('passmanager/v1 entry data', entryId);
}
