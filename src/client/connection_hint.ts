/** What an error of a connection says about how it was made: the words are Node's and OpenSSL's, and only mend a message. */

/** Words of the errors, and what they mean for the caller. */
const HINTS: readonly (readonly [words: RegExp, hint: string])[] = [
  [
    /altname|does not match certificate/i,
    'its certificate is for another name or address: connect by one that it names',
  ],
  [
    /self[- ]signed|unable to (?:verify|get)|UNABLE_TO_|issuer|CERT_/i,
    'its certificate is not trusted: give its authority as `ca`, or in NODE_EXTRA_CA_CERTS',
  ],
  [/certificate has expired/i, 'its certificate has expired'],
  [
    /wrong version number|packet length too long|ERR_SSL|EPROTO/i,
    'it speaks no TLS there: is it http:, or another port?',
  ],
];

/** A sentence for the message of an error with these causes; undefined when they say nothing of that kind. */
export function connectionHint(error: unknown): string | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { message, code } = cause as Error & { code?: unknown };
    const text = `${message} ${typeof code === 'string' ? code : ''}`;
    const found = HINTS.find(([words]) => words.test(text));
    if (found !== undefined) return found[1];
  }
  return undefined;
}
