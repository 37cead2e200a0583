/** What the protocol refuses, by reason. */
export type RefusalReason = 'username' | 'password' | 'kdf' | 'group element' | 'padding' | 'seal' | 'length';

/** A refusal. Its message names the rule, never a value. */
export class ProtocolError extends Error {
  readonly reason: RefusalReason;

  constructor(reason: RefusalReason, message: string) {
    super(message);
    this.name = 'ProtocolError';
    this.reason = reason;
  }
}
