/** From what a person types to what the protocol needs. */
import { usernameHash } from '../protocol/username.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { HandshakeParameters } from '../protocol/handshake.ts';
