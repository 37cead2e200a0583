/** What each seal is bound to: a frame that begins with a label, so that no seal passes for another kind. */
import { frame, u64 } from './bytes.ts';

/** A request. `method` is the full path, `/passmanager.data.v1.DataService/GetEntry`, without any prefix of a URL. */
export function requestAad(method: string, sessionId: string, requestNumber: bigint): Uint8Array {
  return frame('passmanager/v1 request', method, sessionId, u64(requestNumber));
}

/** The response to a request. */
export function responseAad(method: string, sessionId: string, requestNumber: bigint): Uint8Array {
  return frame('passmanager/v1 response', method, sessionId, u64(requestNumber));
}

/** The failure of a request. */
export function failureAad(method: string, sessionId: string, requestNumber: bigint): Uint8Array {
  return frame('passmanager/v1 failure', method, sessionId, u64(requestNumber));
}

/** One message of a stream; `sequence` counts from 0. */
export function streamAad(
  method: string,
  sessionId: string,
  requestNumber: bigint,
  sequence: bigint,
): Uint8Array {
  return frame('passmanager/v1 stream', method, sessionId, u64(requestNumber), u64(sequence));
}

/** The encrypted_result of a log-in. */
export function loginResultAad(sessionId: string): Uint8Array {
  return frame('passmanager/v1 login result', sessionId);
}

/** The vault header. */
export function vaultHeaderAad(): Uint8Array {
  return frame('passmanager/v1 vault header');
}

/** An entry's name. */
export function entryNameAad(entryId: string): Uint8Array {
  return frame('passmanager/v1 entry name', entryId);
}

/** An entry's data. */
export function entryDataAad(entryId: string): Uint8Array {
  return frame('passmanager/v1 entry data', entryId);
}
