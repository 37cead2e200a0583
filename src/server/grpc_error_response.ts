/** Refusals as grpc-js sends them: an RpcError as it takes one, and its own statuses put into the contract's form. */
import {
  Metadata,
  type ServerErrorResponse,
  type ServerInterceptingCall,
  type ServerInterceptor,
  status,
} from '@grpc/grpc-js';
import { incorrectParameters, type RpcError, statusText, tooManyRequests } from './errors.ts';
import { MAX_STATUS_BYTES, STATUS_DETAILS_KEY, statusBytes } from './grpc_status.ts';

/** An RpcError as grpc-js takes the end of a call: code, text, and the details in the trailers if they fit there. */
export function errorResponse(error: RpcError): ServerErrorResponse {
  const metadata = new Metadata();
  const bytes = statusBytes(error);
  if (bytes.length <= MAX_STATUS_BYTES) metadata.set(STATUS_DETAILS_KEY, Buffer.from(bytes));
  return Object.assign(new Error(error.message), {
    code: error.status as number,
    details: error.message,
    metadata,
  });
}

/**
 * Gives the statuses that grpc-js makes by itself the contract's form: a constant text, and the typed detail where the
 * contract has one. grpc-js sends them through its call object's own sendStatus, past every regular interceptor, so that
 * is what is replaced.
 */
export const typedStatuses: ServerInterceptor = (_method, call) => {
  const sendStatus = call.sendStatus.bind(call);
  call.sendStatus = (answer) => {
    if (answer.code === status.OK || answer.metadata?.get(STATUS_DETAILS_KEY).length) sendStatus(answer);
    else sendStatus(libraryStatus(answer.code, String(answer.details)));
  };
  return call as ServerInterceptingCall;
};

function libraryStatus(
  code: status,
  details: string,
): { code: status; details: string; metadata: Metadata | null } {
  if (code === status.RESOURCE_EXHAUSTED) return statusOf(tooManyRequests().inClear());
  if (
    details.startsWith('Received no request message') ||
    details.startsWith('Received a second request message') ||
    details.startsWith('Invalid grpc-timeout value')
  ) {
    return statusOf(incorrectParameters().inClear());
  }
  return { code, details: statusText(code as number), metadata: null };
}

function statusOf(error: RpcError): { code: status; details: string; metadata: Metadata } {
  const { code, details, metadata } = errorResponse(error);
  return { code: code as status, details: details as string, metadata: metadata as Metadata };
}
